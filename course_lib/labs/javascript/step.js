// Chapter 3: two weights, a gradient, and two of the book's rules side by side.

const BEYOND = 1e9; // a weight larger than this diverges
const MOST = 1000; // steps
const PLANE = [
  [-2, 4],
  [-2, 2],
];
const CURVATURE = [
  [2, 0.6],
  [0.6, 1],
];
const MINIMUM = [3, 0.4];
const CONSTANT = [-1, -0.1];

/** The gradient at the weights, in step t = 1, 2, ..., before it is scaled. */
const GRADIENTS = {
  zero: () => [0, 0],
  constant: () => CONSTANT,
  alternating: (_, t) => CONSTANT.map((g) => (t % 2 ? g : -g)),
  quadratic([w1, w2]) {
    const [u, v] = [w1 - MINIMUM[0], w2 - MINIMUM[1]];
    return CURVATURE.map(([a, b]) => a * u + b * v);
  },
};

/** Each rule's step, of the form of those in rules.js. */
const STEPS = {
  SGD: coupled,
  penalty: penalized((w) => w),
  SGDW: decoupled,
  "SGDW without lr": (theta, gradient, state, direction, { lr, weight_decay }) =>
    decoupled(theta, gradient, state, direction, { lr, weight_decay: weight_decay / lr }),
  "L1 subgradient": penalized(Math.sign),
  "L1 proximal": proximal,
  Adam: coupled,
  AdamW: decoupled,
  tilt(theta, gradient, state, direction, { lr, weight_decay }) {
    const [moved, next] = decoupled(theta, gradient, state, direction, { lr, weight_decay: 0 });
    return [moved.map((w) => w - lr * weight_decay), next];
  },
};

/** The step down a loss that contains weight_decay times a penalty; its slope is that of the penalty at a weight. */
function penalized(slope) {
  return (theta, gradient, state, direction, { lr, weight_decay }) => {
    const whole = gradient.map((g, i) => g + weight_decay * slope(theta[i]));
    return coupled(theta, whole, state, direction, { lr, weight_decay: 0 });
  };
}

const decayAt = (t, { weight_decay, change_at, later_weight_decay }) =>
  change_at > 0 && t >= change_at ? later_weight_decay : weight_decay;

/** Weights and state after step t of a rule. */
function move(rule, theta, state, t, weight_decay, { lr, momentum, gradient, gradient_scale }) {
  const direction = rule.startsWith("Adam") ? adam : (g, velocity) => sgd(g, velocity, { momentum });
  const slope = GRADIENTS[gradient](theta, t).map((g) => gradient_scale * g);
  return STEPS[rule](theta, slope, state, direction, { lr, weight_decay });
}

const diverges = (path) => path.at(-1).some((w) => !(Math.abs(w) <= BEYOND));

/** The weights after 0, 1, ... steps of both rules, up to the step that diverges: { rule: path }. */
function* walk(settings) {
  const paths = {};
  for (const rule of new Set([settings.left, settings.right])) {
    let [theta, state] = [settings.start[0], null];
    const path = [theta];
    paths[rule] = path;
    while (path.length <= settings.n_steps && !diverges(path)) {
      const t = path.length;
      [theta, state] = move(rule, theta, state, t, decayAt(t, settings), settings);
      path.push(theta);
      yield paths;
    }
  }
}

/** What the decay adds to the weights in the first step: that step less the one without a decay. */
function firstDecay(rule, settings) {
  const [theta] = settings.start;
  const [decayed, bare] = [decayAt(1, settings), 0].map(
    (weight_decay) => move(rule, theta, null, 1, weight_decay, settings)[0],
  );
  return decayed.map((w, i) => w - bare[i]);
}

/** The largest gap of a weight on two paths after the same step, and the largest length on the first of them. */
function apart(one, other) {
  const common = one.slice(0, other.length);
  const gaps = common.flatMap((theta, t) => theta.map((w, i) => Math.abs(w - other[t][i])));
  const sizes = common.map((theta) => Math.hypot(...theta));
  return [gaps, sizes].map((values) => values.reduce((a, b) => Math.max(a, b)));
}

/** A level of the quadratic, as a closed line. */
function level(height) {
  const [[a, b], [, d]] = CURVATURE;
  const [r, s] = [Math.sqrt((2 * height) / a), Math.sqrt((2 * height) / (d - (b * b) / a))];
  return linspace(0, 2 * Math.PI, 61).map((angle) => {
    const v = s * Math.sin(angle);
    return [MINIMUM[0] + r * Math.cos(angle) - (b / a) * v, MINIMUM[1] + v];
  });
}

/** One of two lines of the same color is darker. */
const lookOf = (rule, { left, right }, looks) =>
  looks[rule][Number(rule !== left && looks[left][0].color === looks[right][0].color)];

const magnitude = (w) => (Math.abs(w) < 1000 ? fixed(4)(w) : minus(counted(Math.round(w))));
const pair = (weights) => `(${weights.map(magnitude).join(", ")})`;

function rest(path, n_steps) {
  if (diverges(path)) return `diverges: beyond 10⁹ in step ${counted(path.length - 1)}`;
  return pair(path.at(-1)) + (path.length <= n_steps ? " (computing)" : "");
}

function gap(one, other) {
  const [distance, size] = apart(one, other);
  return distance <= 1e-9 * Math.max(size, 1e-3) ? "none" : magnitude(distance);
}

const RULES = {
  SGD: "SGD with L2 (coupled)",
  penalty: "penalty (L2 in the loss)",
  SGDW: "SGDW (decoupled)",
  "SGDW without lr": "SGDW without lr",
  "L1 subgradient": "L1 subgradient (in the loss)",
  "L1 proximal": "L1 proximal (after the step)",
  Adam: "Adam with L2 (coupled)",
  AdamW: "AdamW (decoupled)",
  tilt: "tilt (the package)",
};

define({
  name: "step",
  title: "Lab: one λ, two rules",
  controls: [
    choice("left", "one rule", RULES),
    choice("right", "another rule", RULES),
    choice("gradient", "gradient", {
      zero: "zero",
      constant: "constant: (−1, −0.1)",
      alternating: "that, turned at each step",
      quadratic: "of a bowl around (3, 0.4)",
    }),
    slider("gradient_scale", "gradient times", logspace(1e-3, 1e3)),
    slider("weight_decay", "decay λ", [0, ...logspace(1e-4, 3)]),
    slider("lr", "learning rate η", logspace(1e-3, 1)),
    slider("momentum", "momentum of SGD", [...linspace(0, 0.95, 20), 0.99]),
    slider("n_steps", "steps", [1, 2, 3, 4, 5, 6, 7, 8, 9, ...logspace(10, MOST)], {
      show: counted,
      whole: true,
    }),
    slider("change_at", "λ changes in step", linspace(0, MOST, 101), {
      show: (t) => (t ? counted(t) : "never"),
      whole: true,
    }),
    slider("later_weight_decay", "λ from then on", [0, ...logspace(1e-4, 3)]),
    points("start", 1, PLANE),
  ],
  plots: [
    {
      label: "The plane of the weights: drag the start",
      x: PLANE[0],
      y: PLANE[1],
      names: ["first weight", "second weight"],
    },
    ({ n_steps }) => ({
      label: "The length of the weights after each step",
      x: [0, n_steps],
      y: [0, 5],
      names: ["step", "length of the weights"],
    }),
  ],
  run: walk,
  draw(settings, paths, [plane, time], { looks }, changed) {
    const { start, gradient, change_at, n_steps } = settings;
    if (gradient === "quadratic") {
      for (const height of [0.25, 1, 2, 4, 8, 12]) plane.line(level(height), { color: "#d9d9d9" });
      plane.text(...MINIMUM, "★", { "text-anchor": "middle", dy: 4 });
    }
    if (change_at > 0 && change_at <= n_steps) {
      time.line(
        [0, 5].map((y) => [change_at, y]),
        looks.reference,
      );
    }
    for (const [rule, path] of Object.entries(paths ?? {})) {
      const look = lookOf(rule, settings, looks);
      const lengths = path.map((theta, t) => [t, Math.hypot(...theta)]);
      plane.line(
        path.map((theta) => theta.map((w) => clip(w, -1e5, 1e5))),
        look,
      );
      time.line(lengths, look);
      for (const [plot, end] of [
        [plane, path.at(-1)],
        [time, lengths.at(-1)],
      ]) {
        plot.dot(...end, { fill: look.color });
      }
    }
    handle(plane, { value: start[0], label: "start", color: "#262626", marker: "square" }, (moved) =>
      changed("start", [moved]),
    );
  },
  facts(settings, paths, { looks }) {
    const { left, right, n_steps } = settings;
    if (!paths) return [];
    const shown = Object.entries(paths);
    return [
      ...shown.map(([rule, path]) => [
        `${rule}: weights`,
        rest(path, n_steps),
        lookOf(rule, settings, looks),
      ]),
      ...shown.map(([rule]) => [`${rule}: decay in step 1`, pair(firstDecay(rule, settings))]),
      ...shown.map(([rule, path]) => [
        `${rule}: exact zeros`,
        `${path.at(-1).filter((w) => w === 0).length} of 2`,
      ]),
      ...(shown.length > 1 ? [["largest gap of the paths", gap(paths[left], paths[right])]] : []),
    ];
  },
});
