// Chapter 1: a line between two points, as training moves it.

const LR = 1;
const LONGEST = 1e7;
const CHUNK = 20_000; // steps between two looks at the clock
const PLANE = [
  [0, 4],
  [0, 3],
];

const PLOT = {
  label: "The plane: drag the points",
  height: 263,
  x: PLANE[0],
  y: PLANE[1],
  names: ["x₁", "x₂"],
};

/** The rows z = (x, 1) or -(x, 1) of a point called 1 and of one called 0. */
const signedRows = ([[a, b], [c, d]]) => [
  [a, b, 1],
  [-c, -d, -1],
];
const dot = (u, v) => u.reduce((sum, x, i) => sum + x * v[i], 0);
const angle = ([w1, w2]) => (Math.atan2(w2, w1) * 180) / Math.PI;
const probability = (theta, [x1, x2]) => 1 / (1 + Math.exp(-(theta[0] * x1 + theta[1] * x2 + theta[2])));

/** The perpendicular bisector, scaled to margins of 1; null where the points coincide. */
function bisector([p, q]) {
  const apart = [p[0] - q[0], p[1] - q[1]];
  const weight = apart.map((x) => (2 * x) / dot(apart, apart));
  return dot(apart, apart) ? [...weight, -dot(weight, [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2])] : null;
}

/** The shortest (w, b) whose margins are 1, the bias counted; null where the points coincide. */
function maxMargin(X) {
  const [z1, z2] = signedRows(X);
  const [a, b, d] = [dot(z1, z1), dot(z1, z2), dot(z2, z2)];
  const determinant = a * d - b * b;
  return determinant ? z1.map((x, i) => ((d - b) * x + (a - b) * z2[i]) / determinant) : null;
}

/** Steps whose result is kept: some in every tenfold, and one more. */
function recorded(wanted) {
  const grid = [1, 2, 3, 4, 5, 6, 7, 8, 9, ...logspace(10, LONGEST)];
  return [...new Set([...grid, wanted])].sort((a, b) => a - b);
}

/**
 * Full-batch descent on the logistic loss of two points, as scratch.logistic_descent; with L1, a step and
 * the shrinking after it, as rules.proximal. Yields its states so far: [{ step, theta, last, since }]. `last` and
 * `since` tell of each point after which step it was on the wrong side last, and since when it is (0: never).
 */
function* descend({ X, weight_decay, penalty, decay_bias, n_steps }, { start }) {
  const [[a1, a2, a3], [b1, b2, b3]] = signedRows(X);
  const shrink = LR * weight_decay;
  const keep = penalty === "L2" ? 1 - shrink : 1;
  const keepBias = decay_bias ? keep : 1;
  const soft = penalty === "L1" ? shrink : 0;
  const softBias = decay_bias ? soft : 0;
  let [w1, w2, b] = start;
  const [last, since, states] = [[0, 0], [0, 0], []];
  const note = (i, step, margin) => {
    if (margin < 0) last[i] = step;
    since[i] = margin < 0 ? since[i] || step : 0;
  };
  let [step, rests] = [0, false];
  for (const stop of recorded(n_steps)) {
    while (step < stop && !rests) {
      for (const end = Math.min(stop, step + CHUNK); step < end && !rests; step += 1) {
        const [v1, v2, c] = [w1, w2, b];
        const p = LR / 2 / (1 + Math.exp(a1 * w1 + a2 * w2 + a3 * b));
        const q = LR / 2 / (1 + Math.exp(b1 * w1 + b2 * w2 + b3 * b));
        w1 = keep * w1 + p * a1 + q * b1;
        w2 = keep * w2 + p * a2 + q * b2;
        b = keepBias * b + p * a3 + q * b3;
        if (soft) {
          w1 -= clip(w1, -soft, soft);
          w2 -= clip(w2, -soft, soft);
          b -= clip(b, -softBias, softBias);
        }
        rests = w1 === v1 && w2 === v2 && b === c;
        note(0, step + 1, a1 * w1 + a2 * w2 + a3 * b);
        note(1, step + 1, b1 * w1 + b2 * w2 + b3 * b);
      }
      yield states;
    }
    step = stop;
    for (const i of [0, 1]) if (since[i]) last[i] = stop;
    states.push({ step, theta: [w1, w2, b], last: [...last], since: [...since] });
  }
  yield states;
}

/** The state after a step, or the last one that is known. */
const stateAt = (states, step) => states?.findLast((state) => state.step <= step);

function sideOf(i, { last, since }) {
  if (since[i]) return `wrong since step ${counted(since[i])}`;
  return last[i] ? `right; last wrong after step ${counted(last[i])}` : "right after every step";
}

const named = ([x, y]) => `(${plain(x)}, ${plain(y)})`;

/** Where a line w1 x + w2 y + b = 0 leaves the plane. */
function across([w1, w2, b]) {
  const long = Math.hypot(w1, w2);
  if (!long) return [];
  const foot = [(-b * w1) / long ** 2, (-b * w2) / long ** 2];
  return [-99, 99].map((t) => [foot[0] - (t * w2) / long, foot[1] + (t * w1) / long]);
}

function concept({ weight_decay, penalty, decay_bias }) {
  if (weight_decay === 0) return "no decay";
  if (penalty === "L1") return "L1";
  return decay_bias ? "L2, bias decayed" : "L2";
}

define({
  name: "boundary",
  title: "Lab: a line between two points",
  controls: [
    slider("weight_decay", "decay λ", [0, ...logspace(1e-4, 1)]),
    choice("penalty", "penalty", { L2: "L2: shrink by a share", L1: "L1: shrink by an amount" }),
    flag("decay_bias", "the bias is decayed, too"),
    slider("n_steps", "steps", recorded(1), { show: counted, whole: true, quick: true }),
    points("X", 2, PLANE),
  ],
  plots: [
    PLOT,
    {
      label: "The angle after each step",
      x: [1, LONGEST],
      logx: true,
      y: [-90, 90],
      names: ["step", "angle of the weights, degrees"],
      ticks: { y: [-90, -45, 0, 45, 90] },
    },
  ],
  small: {
    controls: ["weight_decay", "n_steps", "X"],
    facts: ["angle", "angle of the bisector"],
    plots: [{ ...PLOT, width: 290, height: 226 }],
  },
  run: descend,
  draw(settings, states, [plane, time], { looks, small }, changed) {
    const { X, n_steps } = settings;
    const look = looks[concept(settings)];
    const state = stateAt(states, n_steps);
    for (const [theta, look] of [
      [bisector(X), looks.reference],
      [small ? null : maxMargin(X), looks.limit],
    ]) {
      if (!theta) continue;
      plane.line(across(theta), look);
      time?.line(
        [1, LONGEST].map((step) => [step, angle(theta)]),
        look,
      );
    }
    if (state) plane.line(across(state.theta), look, { "stroke-width": 3 });
    X.forEach((value, i) => {
      const shape = { label: `point called ${1 - i}`, color: "#262626", marker: i ? "square" : "circle" };
      handle(plane, { value, ...shape }, (moved) => changed("X", X.with(i, moved)));
    });
    time?.line(
      (states ?? []).map(({ step, theta }) => [step, angle(theta)]),
      look,
    );
    if (state) time?.dot(state.step, angle(state.theta), { fill: look.color });
  },
  facts(settings, states, { looks }) {
    const { X, n_steps } = settings;
    const state = stateAt(states, n_steps);
    const degrees = (theta) => {
      if (!theta) return "none: the points coincide";
      return theta[0] || theta[1] ? `${fixed(2)(angle(theta))}°` : "none: both weights are 0";
    };
    if (!state) return [];
    return [
      ["step shown", counted(state.step) + (state.step < n_steps ? " (computing)" : "")],
      ["angle", degrees(state.theta), looks[concept(settings)]],
      ["angle of the bisector", degrees(bisector(X)), looks.reference],
      ["limit without decay", degrees(maxMargin(X)), looks.limit],
      ...X.map((x) => [`probability of ${named(x)}`, fixed(4)(probability(state.theta, x))]),
      ...X.map((x, i) => [`${named(x)} is`, sideOf(i, state)]),
    ];
  },
});
