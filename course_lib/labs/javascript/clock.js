// Chapter 2: what the steps of a run leave of a weight without gradient, and of one that is kept in bfloat16.

const BOUND = 1e6; // beyond it a weight diverges
const CHUNK = 2000; // steps between two looks at the clock
const POINTS = 240; // of a curve
const RULES = { SGD: [coupled, sgd], AdamW: [decoupled, adam], "without lr": [decoupled, sgd] };
const TIMES = { 1: () => 1, "sqrt k": Math.sqrt, k: (k) => k };

/** What multiplies lr in step t of n, from 0 on, as the schedulers of torch do. */
const SCHEDULES = {
  constant: () => 1,
  cosine: (t, n) => (1 + Math.cos((Math.PI * t) / n)) / 2,
  linear: (t, n) => 1 - t / n,
  "warm-up, cosine"(t, n) {
    const warm = Math.ceil(n / 10);
    return t < warm ? (t + 1) / warm : SCHEDULES.cosine(t - warm, n - warm);
  },
};

const doubled = (low, high) => Array.from({ length: Math.log2(high / low) + 1 }, (_, i) => low * 2 ** i);
const stepsPerEpoch = ({ n_samples, batch_size }) => Math.ceil(n_samples / batch_size);
const lrOf = ({ optimizer, lr }) => (optimizer === "without lr" ? 1 : lr);
const rate = (one) => lrOf(one) * one.weight_decay; // at most

/** The setting, and what it becomes when the batch is multiplied by k. */
function two(settings) {
  const { k, batch_size, lr, weight_decay, lr_times, weight_decay_times } = settings;
  const larger = {
    batch_size: k * batch_size,
    lr: lr * TIMES[lr_times](k),
    weight_decay: weight_decay * TIMES[weight_decay_times](k),
  };
  return [settings, { ...settings, ...larger }];
}

const float32 = new Float32Array(1);
const bits = new Uint32Array(float32.buffer);

/** The nearest bfloat16, and of two equally near ones the even one: half of the bits of a float32, as in torch. */
function bfloat16(x) {
  float32[0] = x;
  bits[0] += 0x7fff + ((bits[0] >>> 16) & 1);
  bits[0] &= 0xffff0000;
  return float32[0];
}

/** The direction, kept in bfloat16. */
const inBfloat16 = (direction) => (gradient, state) => {
  const [d, next] = direction(gradient, state);
  return [d.map(bfloat16), next];
};

/**
 * Take the steps of a run on a weight of 1 whose gradient is zero. Yields what is known so far: `path` of [step,
 * weight, weight in bfloat16], `steps` taken, the last one that `moved` the weight in bfloat16, and the `area` under
 * what multiplies it: lr times weight_decay.
 */
function* fade(settings) {
  const { optimizer, schedule, weight_decay, n_epochs } = settings;
  const [step, direction] = RULES[optimizer];
  const n = n_epochs * stepsPerEpoch(settings);
  const every = Math.ceil(n / POINTS);
  const known = { path: [[0, 1, 1]], steps: 0, moved: 0, area: 0 };
  let [exact, state, kept, keptState] = [[1], null, [1], null];
  for (let t = 0; t < n; t += 1) {
    const share = optimizer === "without lr" ? 1 : SCHEDULES[schedule](t, n);
    const decay = { lr: lrOf(settings) * share, weight_decay };
    known.area += decay.lr * weight_decay;
    if (Math.abs(exact[0]) <= BOUND) [exact, state] = step(exact, [0], state, direction, decay);
    if (Math.abs(kept[0]) <= BOUND) {
      const before = kept[0];
      [kept, keptState] = step(kept, [0], keptState, inBfloat16(direction), decay);
      kept = kept.map(bfloat16);
      if (kept[0] !== before) known.moved = t + 1;
    }
    known.steps = t + 1;
    if ((t + 1) % every === 0 || t + 1 === n) known.path.push([t + 1, exact[0], kept[0]]);
    if ((t + 1) % CHUNK === 0) yield known;
  }
  yield known;
}

function* fadeBoth(settings) {
  const found = [];
  for (const one of two(settings)) {
    const place = found.length;
    for (const known of fade(one)) {
      found[place] = known;
      yield found;
    }
  }
}

/** Steps or epochs, where there are any. */
function amount(x) {
  if (!(Number.isFinite(x) && x >= 0)) return "none";
  const text = String(Number(x.toPrecision(3)));
  return x < 1000 ? text : counted(text);
}

const left = (weight) => (Math.abs(weight) <= BOUND ? minus(plain(weight)) : "diverges");

/** The steps in which lr and weight_decay, as they are at most, halve a weight. */
const halfLife = (one) => Math.log(0.5) / Math.log(Math.abs(1 - rate(one)));

function leftInBfloat16({ path, moved }) {
  const weight = left(path.at(-1)[2]);
  if (!moved) return "1: no step moves it";
  return weight === "diverges" ? weight : `${weight} since step ${counted(moved)}`;
}

/** The axes of a plot of shares over epochs; where a step takes more than there is, the sign changes. */
const axes = (dtype) => (settings) => ({
  label: `What is left of the weight in ${dtype}`,
  x: [0, settings.n_epochs],
  y: [two(settings).some((one) => rate(one) > 1) ? -1 : 0, 1],
  names: ["epoch", `share left, in ${dtype}`],
});

define({
  name: "clock",
  title: "Lab: how long a decay remembers",
  controls: [
    choice("optimizer", "decay", {
      SGD: "SGD: in the gradient",
      AdamW: "AdamW, SGDW: beside the step, times lr",
      "without lr": "beside the step, not times lr",
    }),
    slider("lr", "lr", logspace(1e-5, 1)),
    slider("weight_decay", "decay λ", [0, ...logspace(1e-5, 1)]),
    choice("schedule", "lr in the run", {
      constant: "constant",
      cosine: "cosine to 0",
      linear: "linear to 0",
      "warm-up, cosine": "up in a tenth of the steps, then cosine to 0",
    }),
    slider("n_samples", "rows", logspace(100, 80_000), { show: counted, whole: true }),
    slider("batch_size", "rows of a batch", doubled(8, 4096), { show: counted, whole: true }),
    slider("n_epochs", "epochs", logspace(1, 100).filter(Number.isInteger), { whole: true }),
    slider("k", "batch times k", doubled(2, 64), { whole: true }),
    choice("lr_times", "lr times", { 1: "1", "sqrt k": "√k", k: "k" }),
    choice("weight_decay_times", "λ times", { 1: "1", "sqrt k": "√k", k: "k" }),
  ],
  plots: [axes("float64"), axes("bfloat16")],
  run: fadeBoth,
  draw(settings, found, [exact, kept], { looks }) {
    two(settings).forEach((one, i) => {
      const path = found?.[i]?.path ?? [];
      const look = looks[one.optimizer][i];
      const line = (column) => path.map((row) => [row[0] / stepsPerEpoch(one), row[column]]);
      exact.line(line(1), look);
      kept.line(line(1), look, { "stroke-opacity": 0.35 });
      kept.line(line(2), look);
    });
  },
  facts(settings, found, { looks }) {
    const runs = two(settings);
    const pair = (tell) => runs.map((one, i) => tell(one, found?.[i])).join(" → ");
    const [decay, time, exponent] =
      settings.optimizer === "without lr"
        ? ["λ", "1/λ", "λ × steps"]
        : ["lr λ", "1/(lr λ)", "λ × area under lr"];
    const known = (tell) => (one, run) =>
      run?.steps === one.n_epochs * stepsPerEpoch(one) ? tell(run) : "computing";
    return [
      ["batch", pair((one) => counted(one.batch_size))],
      ["steps per epoch", pair((one) => counted(stepsPerEpoch(one)))],
      [decay, pair((one) => plain(rate(one)))],
      [`exp(−${exponent})`, pair(known(({ area }) => plain(Math.exp(-area))))],
      [`${time}, steps`, pair((one) => amount(1 / rate(one)))],
      [`${time}, epochs`, pair((one) => amount(1 / rate(one) / stepsPerEpoch(one)))],
      ["half-life, steps", pair((one) => amount(halfLife(one)))],
      ["half-life, epochs", pair((one) => amount(halfLife(one) / stepsPerEpoch(one)))],
      ...runs.flatMap((one, i) => {
        const look = looks[one.optimizer][i];
        const of = `batch of ${counted(one.batch_size)}`;
        return [
          [`left, ${of}`, known(({ path }) => left(path.at(-1)[1]))(one, found?.[i]), look],
          [`left in bfloat16, ${of}`, known(leftInBfloat16)(one, found?.[i]), look],
        ];
      }),
    ];
  },
});
