// The step of every optimizer in this book: rules.py, name for name, on arrays of numbers. A setting is a number,
// or an array with one for each parameter. What comes in is not changed.

const at = (setting, i) => (typeof setting === "number" ? setting : setting[i]);
const clip = (x, low, high) => Math.min(Math.max(x, low), high);

function sgd(gradient, velocity = null, { momentum = 0, dampening = 0, nesterov = false } = {}) {
  const fresh = 1 - dampening * (momentum !== 0);
  const next = velocity === null ? gradient : gradient.map((g, i) => momentum * velocity[i] + fresh * g);
  return [nesterov ? gradient.map((g, i) => g + momentum * next[i]) : next, next];
}

function adam(gradient, moments = null, { betas: [beta1, beta2] = [0.9, 0.999], eps = 1e-8 } = {}) {
  const zeros = gradient.map(() => 0);
  const [steps, means, squares] = moments ?? [0, zeros, zeros];
  const t = steps + 1;
  const M = gradient.map((g, i) => beta1 * means[i] + (1 - beta1) * g);
  const S = gradient.map((g, i) => beta2 * squares[i] + (1 - beta2) * g * g);
  const direction = M.map((m, i) => m / (1 - beta1 ** t) / (Math.sqrt(S[i] / (1 - beta2 ** t)) + eps));
  return [direction, [t, M, S]];
}

function coupled(theta, gradient, state, direction, { lr, weight_decay }) {
  const [step, next] = direction(
    gradient.map((g, i) => g + at(weight_decay, i) * theta[i]),
    state,
  );
  return [theta.map((x, i) => x - at(lr, i) * step[i]), next];
}

function decoupled(theta, gradient, state, direction, { lr, weight_decay }) {
  const [step, next] = direction(gradient, state);
  return [theta.map((x, i) => (1 - at(lr, i) * at(weight_decay, i)) * x - at(lr, i) * step[i]), next];
}

function proximal(theta, gradient, state, direction, { lr, weight_decay, norm = 1 }) {
  const [step, next] = direction(gradient, state);
  const moved = theta.map((x, i) => x - at(lr, i) * step[i]);
  const shrink = (x, size) => (norm === 1 ? x - clip(x, -size, size) : x / (1 + size));
  return [moved.map((x, i) => shrink(x, at(lr, i) * at(weight_decay, i))), next];
}
