// The first chapter: a polynomial, its training loss, and its loss on other points, over the decay.

const LAMBDAS = [0, ...logspace(1e-6, 10)];
const HELD_OUT = 2000;
const ROUNDING = 1e-13; // singular values below this share of the largest are taken for zeros
const LOSSES = [1e-3, 100];

const ends = (values) => [values[0], values.at(-1)];
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function dot(u, v) {
  let sum = 0;
  for (let i = 0; i < u.length; i += 1) sum += u[i] * v[i];
  return sum;
}

/** The numbers that numpy.random.RandomState(seed) draws, by the Mersenne Twister and Marsaglia's polar method. */
function randomState(seed) {
  const words = new Uint32Array(624);
  let [used, spare] = [624, null];
  words[0] = seed;
  for (let i = 1; i < 624; i += 1) {
    words[i] = Math.imul(1812433253, words[i - 1] ^ (words[i - 1] >>> 30)) + i;
  }
  function word() {
    for (let i = 0; used === 624 && i < 624; i += 1) {
      const y = (words[i] & 0x80000000) | (words[(i + 1) % 624] & 0x7fffffff);
      words[i] = words[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    used = (used % 624) + 1;
    let y = words[used - 1];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }
  function uniform(low, high) {
    return low + (high - low) * (((word() >>> 5) * 2 ** 26 + (word() >>> 6)) / 2 ** 53);
  }
  function normal() {
    let [u, v, square] = [0, 0, 0];
    if (spare === null) {
      while (square >= 1 || square === 0) {
        [u, v] = [uniform(-1, 1), uniform(-1, 1)];
        square = u * u + v * v;
      }
      const factor = Math.sqrt((-2 * Math.log(square)) / square);
      spare = factor * u;
      return factor * v;
    }
    [u, spare] = [spare, null];
    return u;
  }
  return { uniform, normal };
}

/** As data.noisy_sine: x uniform in -1 to 1, y = sin(pi x) and Gaussian noise. */
function noisySine(n_samples, { noise, seed }) {
  const random = randomState(seed);
  const x = Float64Array.from({ length: n_samples }, () => random.uniform(-1, 1));
  return { x, y: x.map((value) => Math.sin(Math.PI * value) + noise * random.normal()) };
}

/** The columns of numpy's legvander but the first: Legendre polynomials of degree 1, 2, ... */
function features(x, degree) {
  const columns = [x.map(() => 1), x];
  for (let k = 2; k <= degree; k += 1) {
    const [one, two] = columns.slice(-2);
    columns.push(x.map((value, i) => (two[i] * value * (2 * k - 1) - one[i] * (k - 1)) / k));
  }
  return columns.slice(1);
}

/** Orthogonal columns, and the rotation that makes them of the given ones: the SVD by one-sided Jacobi. */
function orthogonalized(given) {
  const columns = given.map((column) => column.slice());
  const rotation = given.map((_, i) => given.map((_, j) => Number(i === j)));
  const smallest = ROUNDING ** 2 * columns.reduce((sum, column) => sum + dot(column, column), 0);
  for (let turned = true, sweeps = 0; turned && sweeps < 40; sweeps += 1) {
    turned = false;
    for (let i = 0; i < columns.length; i += 1) {
      for (let j = i + 1; j < columns.length; j += 1) {
        const [a, b] = [dot(columns[i], columns[i]), dot(columns[j], columns[j])];
        const both = dot(columns[i], columns[j]);
        if (Math.min(a, b) <= smallest || Math.abs(both) <= 1e-14 * Math.sqrt(a * b)) continue;
        turned = true;
        const slope = (b - a) / (2 * both);
        const tangent = (slope < 0 ? -1 : 1) / (Math.abs(slope) + Math.hypot(1, slope));
        for (const matrix of [columns, rotation]) turn(matrix[i], matrix[j], tangent);
      }
    }
  }
  const kept = columns.map((column) => dot(column, column) > smallest);
  return [columns, rotation].map((matrix) => matrix.filter((_, k) => kept[k]));
}

function turn(u, v, tangent) {
  const cosine = 1 / Math.hypot(1, tangent);
  for (let k = 0; k < u.length; k += 1) {
    const before = u[k];
    u[k] = cosine * (before - tangent * v[k]);
    v[k] = cosine * (v[k] + tangent * before);
  }
}

/** What all decays share: a free bias fits the means, and the rest falls apart into orthogonal directions. */
function prepared({ x, y }, degree) {
  const X = features(x, degree);
  const centers = X.map(mean);
  const [columns, rotation] = orthogonalized(X.map((column, k) => column.map((value) => value - centers[k])));
  const squares = columns.map((column) => dot(column, column));
  const center = mean(y);
  const shifted = y.map((value) => value - center);
  return { X, y, centers, center, rotation, squares, along: columns.map((column) => dot(column, shifted)) };
}

/** As optimum.least_squares_optimum, the bias free: [w, b]. Of several minimizers the one with the shortest w. */
function leastSquaresOptimum({ y, centers, center, rotation, squares, along }, weight_decay) {
  const w = centers.map(() => 0);
  rotation.forEach((direction, k) => {
    const size = along[k] / (squares[k] + (weight_decay * y.length) / 2);
    direction.forEach((part, i) => {
      w[i] += size * part;
    });
  });
  return [w, center - dot(centers, w)];
}

/** The trace of the matrix that makes predictions of targets; the bias is one of them. */
function effectiveParameters({ y, squares }, weight_decay) {
  return squares.reduce((sum, square) => sum + square / (square + (weight_decay * y.length) / 2), 1);
}

function output(X, [w, b]) {
  const sums = new Float64Array(X[0].length).fill(b);
  X.forEach((column, k) => {
    for (let i = 0; i < sums.length; i += 1) sums[i] += w[k] * column[i];
  });
  return sums;
}

function loss(model, { X, y }) {
  const residual = output(X, model).map((value, i) => value - y[i]);
  return dot(residual, residual) / y.length;
}

/** The losses at each decay: { training, held, losses: [[training, held-out], ...] }. */
function* sweep({ degree, n_samples, noise, seed }) {
  const training = prepared(noisySine(n_samples, { noise, seed }), degree);
  const { x, y } = noisySine(HELD_OUT, { noise, seed: 0 });
  const found = { training, held: { X: features(x, degree), y }, losses: [] };
  for (const weight_decay of LAMBDAS) {
    found.losses.push(lossesAt(found, weight_decay));
    yield found;
  }
}

function lossesAt({ training, held }, weight_decay) {
  const model = leastSquaresOptimum(training, weight_decay);
  return [loss(model, training), loss(model, held)];
}

const lookOf = (weight_decay, looks) => looks[weight_decay ? "L2" : "no decay"];
const lowest = (losses) => losses.reduce((best, [, held], k) => (held < losses[best][1] ? k : best), 0);

function amount(value) {
  if (value > 1e6) return "above 10⁶";
  return value < 1e-6 ? "below 10⁻⁶" : plain(value);
}

define({
  name: "overfitting",
  title: "Lab: a polynomial and its decay",
  controls: [
    slider("weight_decay", "decay λ", LAMBDAS, { quick: true }),
    slider("degree", "degree", linspace(1, 15, 15), { whole: true }),
    slider(
      "n_samples",
      "points",
      [...linspace(3, 20, 18), 25, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000],
      { show: counted, whole: true },
    ),
    slider("noise", "noise", linspace(0, 1, 21)),
    slider("seed", "sample", linspace(1, 20, 20), { whole: true }),
  ],
  plots: [
    { label: "The points and the fit", x: [-1, 1], y: [-2.5, 2.5], names: ["x", "y"] },
    {
      label: "The losses over λ",
      x: ends(LAMBDAS.slice(1)),
      y: LOSSES,
      logx: true,
      logy: true,
      names: ["λ", "mean squared error"],
    },
  ],
  run: sweep,
  draw({ weight_decay, noise, n_samples, degree }, found, [plane, valley], { looks }) {
    const { X, y } = found.training;
    const across = Float64Array.from(linspace(-1, 1, 201));
    const fitted = output(features(across, degree), leastSquaresOptimum(found.training, weight_decay));
    const curve = (values) => [...across].map((u, i) => [u, values[i]]);
    plane.scatter(
      [...X[0]].map((u, i) => [u, y[i]]),
      { stroke: "#808080", "stroke-width": n_samples > 100 ? 3 : 6 },
    );
    plane.line(curve(across.map((u) => Math.sin(Math.PI * u))), looks.reference);
    plane.line(curve(fitted), lookOf(weight_decay, looks), { "stroke-width": 3 });

    const place = (value) => clip(value, ...valley.x);
    const best = lowest(found.losses);
    if (noise > 0.01) {
      valley.line(
        valley.x.map((u) => [u, noise ** 2]),
        looks.reference,
      );
    }
    lossesAt(found, weight_decay).forEach((value, which) => {
      const look = [looks.training, looks.L2][which];
      const losses = found.losses.map((pair, k) => [LAMBDAS[k], Math.max(pair[which], 1e-9)]);
      valley.line(losses.slice(1), look);
      valley.dot(place(weight_decay), clip(value, ...valley.y), { fill: look.color });
    });
    valley.text(place(LAMBDAS[best]), found.losses[best][1], "★", { class: "name", dy: 4 });
  },
  facts({ weight_decay, noise, degree }, found, { looks }) {
    const [w] = leastSquaresOptimum(found.training, weight_decay);
    const [training, held] = lossesAt(found, weight_decay);
    const best = lowest(found.losses);
    const bottom = `${amount(found.losses[best][1])} at λ = ${plain(LAMBDAS[best])}`;
    return [
      ["training loss", amount(training), looks.training],
      ["held-out loss", amount(held), looks.L2],
      ["its lowest", found.losses.length === LAMBDAS.length ? bottom : "computing"],
      ["variance of the noise", noise ? amount(noise ** 2) : "0", looks.reference],
      ["|w|² of the fit", amount(dot(w, w)), lookOf(weight_decay, looks)],
      [
        "effective parameters",
        `${fixed(1)(effectiveParameters(found.training, weight_decay))} of ${degree + 1}`,
      ],
    ];
  },
});
