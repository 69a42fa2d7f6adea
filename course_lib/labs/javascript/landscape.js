// Chapter 4: a path over the loss of a line, and a map of which settings are fast, slow or too large.

const LONGEST = 1000; // steps of a path
const BOUND = 1e6; // from the origin: beyond it a path diverges, or is not followed
const PLANE = [-5, 8]; // of weight and bias
const REACH = 1000; // of the search for the lowest point
const RATES = { lr: [1e-3, 10], momentum: [0, 0.99] };
const LEVELS = [0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1]; // of the factor per step, each with its shade
const SHADES = ["#2f7fa8", "#4a93b5", "#66a7c0", "#84bac9", "#a3cbd0", "#c0dbd5", "#dcead8", "#fdf6d8"];
const SIDE = linspace(...PLANE, 53);

// Of an error e of the line: its loss, the slope of that, and the slope of the slope.
const LOSSES = {
  MSELoss: [(e) => e * e, (e) => 2 * e, () => 2],
  L1Loss: [Math.abs, Math.sign, () => 0],
  HuberLoss: [
    (e) => (Math.abs(e) < 1 ? (e * e) / 2 : Math.abs(e) - 1 / 2),
    (e) => clip(e, -1, 1),
    (e) => (Math.abs(e) < 1 ? 1 : 0),
  ],
  valley: [(e) => (e * e) / 2, (e) => e, () => 1],
};
LOSSES.SmoothL1Loss = LOSSES.HuberLoss; // at torch's defaults they are one function

/** The points (x, y) of the line: the chapter's, or two whose curvatures are the condition number and 1. */
function pointsOf({ loss, condition_number }, { points }) {
  return loss === "valley"
    ? [1, -1].map((s) => s * condition_number ** 0.5).map((x) => [x, 2 * x + 2])
    : points;
}

/** The mean loss of a line. */
function lossAt(points, loss, [weight, bias]) {
  const [value] = LOSSES[loss];
  let sum = 0;
  for (let i = 0; i < points.length; i += 1) sum += value(weight * points[i][0] + bias - points[i][1]);
  return sum / points.length;
}

/** Its gradient by weight and bias. */
function gradientAt(points, loss, [weight, bias]) {
  const [, slope] = LOSSES[loss];
  let [along, up] = [0, 0];
  for (let i = 0; i < points.length; i += 1) {
    const s = slope(weight * points[i][0] + bias - points[i][1]);
    along += s * points[i][0];
    up += s;
  }
  return [along / points.length, up / points.length];
}

/** Its smallest and largest curvature: the eigenvalues of its second derivatives. */
function curvaturesAt(points, loss, [weight, bias]) {
  const [, , bend] = LOSSES[loss];
  let [xx, x1, one] = [0, 0, 0];
  for (const [x, y] of points) {
    const h = bend(weight * x + bias - y) / points.length;
    xx += h * x * x;
    x1 += h * x;
    one += h;
  }
  const [middle, apart] = [(xx + one) / 2, Math.hypot((xx - one) / 2, x1)];
  return [middle - apart, middle + apart];
}

const penalty = (weight_decay, theta) => (weight_decay / 2) * theta.reduce((sum, x) => sum + x * x, 0);

/** Two neighbors between which an increasing function, which may jump, changes its sign. */
function crossing(f) {
  let [low, middle, high] = [-REACH, 0, REACH];
  while (low < middle && middle < high) {
    [low, high] = f(middle) < 0 ? [middle, high] : [low, middle];
    middle = (low + high) / 2;
  }
  return [low, high];
}

/** Where a convex function of weight and bias is lowest. Where its slope jumps at 0, it has each slope between. */
function minimizer(gradient) {
  const lowest = (weight) => {
    const [low, high] = crossing((bias) => gradient([weight, bias])[1]);
    const [under, over] = [gradient([weight, low]), gradient([weight, high])];
    const share = under[1] / (under[1] - over[1]);
    return { bias: high, slope: under[0] + share * (over[0] - under[0]) };
  };
  const [, weight] = crossing((weight) => lowest(weight).slope);
  return [weight, lowest(weight).bias];
}

const directionOf = (settings) => (gradient, state) => sgd(gradient, state, settings);
const refused = ({ momentum, dampening, nesterov }) => nesterov && (momentum === 0 || dampening > 0);

/** The path of torch.optim.SGD, as landscape.descent_paths, as long as it stays within the bound. */
function descentPath(points, { loss, start: [start], ...settings }) {
  const path = [start];
  const direction = directionOf(settings);
  let [theta, state] = [start, null];
  while (path.length <= LONGEST && Math.hypot(...theta) <= BOUND) {
    [theta, state] = coupled(theta, gradientAt(points, loss, theta), state, direction, settings);
    path.push(theta);
  }
  return path;
}

/**
 * What a step makes of the distance from the lowest point, along an eigenvector, and of the velocity: a matrix
 * [a, b, c, d], by rows, for each lr. Its entries are linear in lr.
 */
function recurrence(curvature, settings) {
  const direction = directionOf(settings);
  const step = (lr) => (distance, velocity) =>
    coupled([distance], [curvature * distance], [velocity], direction, { ...settings, lr }).flat();
  const matrix = (lr) => {
    const [[a, c], [b, d]] = [step(lr)(1, 0), step(lr)(0, 1)];
    return [a, b, c, d];
  };
  const [none, one] = [matrix(0), matrix(1)];
  return (lr) => none.map((x, i) => x + lr * (one[i] - x));
}

/** The size of the larger eigenvalue. */
function spectralRadius([a, b, c, d]) {
  const [half, product] = [(a + d) / 2, a * d - b * c];
  const squared = half * half - product;
  return squared < 0 ? Math.sqrt(product) : Math.abs(half) + Math.sqrt(squared);
}

/** The factor per step in the slowest direction. */
const rate = (curvatures, settings) =>
  Math.max(...curvatures.map((h) => spectralRadius(recurrence(h, settings)(settings.lr))));

/** The lr at which a step along a curvature only changes the sign: -1 is then an eigenvalue. */
function largestLr(curvature, settings) {
  const matrix = recurrence(curvature, settings);
  const [none, one] = [0, 1].map(matrix).map(([a, b, c, d]) => 1 + a + d + a * d - b * c);
  return none / (none - one);
}

/** A function that keeps its last two results. */
function kept(compute) {
  const results = [];
  return (...given) => {
    const key = JSON.stringify(given);
    const found = results.find((result) => result.key === key) ?? { key, value: compute(...given) };
    results.unshift(found);
    results.length = Math.min(results.length, 2);
    return found.value;
  };
}

/** The lowest point of loss + penalty, and the curvatures of the loss there. */
const bottom = kept((points, loss, weight_decay) => {
  const gradient = (theta) => gradientAt(points, loss, theta).map((g, i) => g + weight_decay * theta[i]);
  const theta = minimizer(gradient);
  return { theta, curvatures: curvaturesAt(points, loss, theta) };
});

/** The lines of equal loss + penalty; the root of what is above the lowest goes up by equal steps. */
const lines = kept((points, loss, weight_decay, theta) => {
  const objective = (theta) => lossAt(points, loss, theta) + penalty(weight_decay, theta);
  const floor = objective(theta);
  const roots = SIDE.map((weight) =>
    SIDE.map((bias) => Math.sqrt(Math.max(objective([weight, bias]) - floor, 0))),
  );
  const top = Math.max(...roots.flat());
  return linspace(top / 12, (11 * top) / 12, 11).flatMap((level) => contour(roots, SIDE, SIDE, level));
});

const LRS = linspace(...RATES.lr.map(Math.log10), 61).map((power) => 10 ** power);
const MOMENTA = linspace(...RATES.momentum, 45);
const rates = kept((curvatures, settings) =>
  MOMENTA.map((momentum) => {
    const matrices = curvatures.map((h) => recurrence(h, { ...settings, momentum }));
    return LRS.map((lr) => Math.max(...matrices.map((matrix) => spectralRadius(matrix(lr)))));
  }),
);

/** All that is shown; the path first. */
function* explore(settings, data) {
  const { loss, weight_decay, dampening, nesterov } = settings;
  const points = pointsOf(settings, data);
  const found = { points, path: refused(settings) ? null : descentPath(points, settings) };
  yield found;
  found.bottom = bottom(points, loss, weight_decay);
  yield found;
  found.bare = bottom(points, loss, 0);
  yield found;
  found.lines = lines(points, loss, weight_decay, found.bottom.theta);
  yield found;
  found.bareLines = lines(points, loss, 0, found.bare.theta);
  yield found;
  if (loss !== "L1Loss" && !(nesterov && dampening)) {
    found.rates = rates(found.bottom.curvatures, { weight_decay, dampening, nesterov });
  }
  yield found;
}

const drawnAt = ([weight, bias]) => [bias, weight];
const amount = (value) => (Math.abs(value) < 1000 ? fixed(4)(value) : minus(counted(plain(value))));
const pair = (theta) => `(${theta.map(amount).join(", ")})`;

function concept({ momentum, nesterov, weight_decay }) {
  if (weight_decay) return "L2, bias decayed";
  if (!momentum) return "no decay";
  return nesterov ? "Nesterov" : "momentum";
}

/** The color of a factor on the map; above 1 there is none. */
const shade = (factor) => SHADES[LEVELS.findIndex((level) => factor <= level)] ?? "none";

/** Facts about where the path is after the steps that are shown. */
function arrival({ loss, n_steps, weight_decay }, { points, path, bottom }, look) {
  const what = `weight and bias after ${counted(n_steps)} ${n_steps === 1 ? "step" : "steps"}`;
  const theta = path[n_steps] ?? path.at(-1);
  if (Math.hypot(...theta) > BOUND) return [[what, `beyond a million since step ${path.length - 1}`, look]];
  const away = theta.map((x, i) => x - bottom.theta[i]);
  return [
    [what, pair(theta), look],
    ["loss there", amount(lossAt(points, loss, theta))],
    ["penalty there", amount(penalty(weight_decay, theta))],
    ["distance to the lowest point", amount(Math.hypot(...away))],
  ];
}

/** Facts about how fast it goes. */
function pace(settings, found, look) {
  const { curvatures } = found.bottom;
  const end = ["in the long run", fate(settings, found)];
  if (settings.loss === "L1Loss") return [["curvatures", "none: an L1 loss is made of planes"], end];
  const [least, most] = curvatures.map((h) => amount(h + settings.weight_decay));
  return [
    ["curvatures of loss + penalty there", `${least} and ${most}`],
    ["factor per step", amount(rate(curvatures, settings))],
    ["largest stable lr", amount(largestLr(curvatures[1], settings)), look],
    end,
  ];
}

/** What becomes of a path, however long it is. */
function fate(settings, { points, bottom: { theta, curvatures } }) {
  const { loss, weight_decay } = settings;
  const quadratic = loss === "MSELoss" || loss === "valley";
  if (!quadratic && weight_decay && rate([0], settings) > 1) return "diverges: the decay alone is too large";
  const edge = loss === "L1Loss" && points.some(([x, y]) => Math.abs(theta[0] * x + theta[1] - y) < 1e-9);
  if (edge) return "hovers about the lowest point";
  const factor = rate(curvatures, settings);
  if (quadratic && Math.abs(factor - 1) < 1e-9) return "jumps to and fro forever";
  if (factor < 1) return quadratic ? "converges" : "converges, once it is near";
  return quadratic ? "diverges" : "does not come to rest";
}

define({
  name: "landscape",
  title: "Lab: what the optimizer sees",
  controls: [
    choice("loss", "loss", {
      MSELoss: "MSELoss",
      L1Loss: "L1Loss",
      HuberLoss: "HuberLoss",
      SmoothL1Loss: "SmoothL1Loss",
      valley: "a valley, half of MSELoss",
    }),
    slider("condition_number", "κ of the valley", logspace(1, 1000)),
    slider("lr", "lr η", logspace(...RATES.lr)),
    slider("momentum", "momentum μ", linspace(...RATES.momentum, 100)),
    slider("dampening", "dampening τ", linspace(0, 0.9, 10)),
    flag("nesterov", "Nesterov"),
    slider("weight_decay", "decay λ", [0, ...logspace(0.01, 10)]),
    slider("n_steps", "steps", [1, 2, 3, 4, 5, 6, 7, 8, 9, ...logspace(10, LONGEST)], {
      whole: true,
      quick: true,
      show: counted,
    }),
    flag("bare", "show the loss alone, too", { quick: true }),
    points("start", 1, [PLANE, PLANE]),
  ],
  plots: [
    {
      label: "The plane of weight and bias: drag the start",
      height: 324,
      x: PLANE,
      y: PLANE,
      names: ["bias", "weight"],
    },
    {
      label: "The factor per step at each lr and momentum",
      height: 324,
      x: RATES.lr,
      logx: true,
      y: RATES.momentum,
      names: ["lr (bluer is faster; beyond the line: too large)", "momentum"],
    },
  ],
  run: explore,
  draw(settings, found, [plane, map], { looks }, changed) {
    const { bare, n_steps, lr, momentum, start } = settings;
    const look = looks[concept(settings)];
    if (found.lines) plane.pieces(found.lines, looks.contours, { "stroke-width": 1 });
    if (bare && found.bareLines) plane.pieces(found.bareLines, looks.reference, { "stroke-width": 1.5 });
    if (found.path) {
      const path = found.path.slice(0, n_steps + 1).map(drawnAt);
      plane.line(path, look);
      plane.pieces(
        path.map((place) => [place, place]),
        look,
        { "stroke-width": 5, "stroke-linecap": "round", "stroke-dasharray": "" },
      );
    }
    if (bare && found.bare)
      plane.dot(...drawnAt(found.bare.theta), { fill: "white", stroke: looks.reference.color });
    if (found.bottom) plane.dot(...drawnAt(found.bottom.theta), { fill: "white", stroke: look.color });
    const grip = { label: "start: bias, weight", color: "#262626", marker: "square" };
    handle(plane, { value: drawnAt(start[0]), ...grip }, (moved) => changed("start", [drawnAt(moved)]));
    if (found.rates) {
      const [, steepest] = found.bottom.curvatures;
      map.heat(found.rates, LRS, MOMENTA, shade);
      map.line(
        MOMENTA.map((momentum) => [largestLr(steepest, { ...settings, momentum }), momentum]),
        looks.limit,
      );
    }
    map.dot(lr, momentum, { fill: look.color, stroke: "white" });
  },
  facts(settings, found, { looks }) {
    if (!found?.bare) return [];
    const lowest = [
      ["lowest point of the loss", pair(found.bare.theta), looks.reference],
      ["lowest point of loss + penalty", pair(found.bottom.theta), looks.contours],
    ];
    if (!found.path) return [["no path", "Nesterov needs momentum above 0 and no dampening"], ...lowest];
    return [
      ...arrival(settings, found, looks[concept(settings)]),
      ...lowest,
      ...pace(settings, found, looks.limit),
    ];
  },
});
