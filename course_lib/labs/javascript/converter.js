// The Rosetta page: the value of one knob that means what a value of another means, as conventions.convert has it.

const NET_MOMENTUM = "(1 - momentum) / (1 - dampening)";

const knobOf = (name, { libraries, defaults }) => {
  const library = Object.values(libraries).find((knobs) => Object.hasOwn(knobs, name));
  return { name, ...defaults, ...library[name] };
};

function fail(reason) {
  throw new RangeError(reason);
}

/** A number as Python writes it, but for the .0 of whole ones. */
function python(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : "inf";
  const [digits, exponent] = x.toExponential().split("e");
  if (exponent >= -4 && exponent < 16) return String(x);
  return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

const repr = (x) => python(x).replace(/^\d+$/, "$&.0");

/** The losses that a knob goes with, each with the name under which `losses` holds it. */
function entries(knob, n_outputs, { losses }) {
  const known = knob.losses ? Object.keys(knob.losses) : losses;
  const pairs = losses
    .filter((loss) => n_outputs > 1 || loss !== "cross_entropy")
    .flatMap((loss) => [loss, `${loss} of ${n_outputs}`].map((name) => [loss, name]));
  return new Map(pairs.filter(([, name]) => known.includes(name)));
}

const lossesOf = (knob) => (knob.losses ? Object.keys(knob.losses) : ["any"]);

const scale = (knob, entry) => (knob.losses ? knob.losses[entry] : 1);

/** torch averages over outputs, too, but for the cross-entropy. */
const perOf = (knob, entry) =>
  knob.per.filter((name) => !entry.startsWith("cross_entropy") || name !== "n_outputs");

/** The lambda of the reference, in words. */
function formula(knob, entry) {
  const name = knob.name.split(" (")[0].split(".").at(-1);
  const symbol = name === "lambda" ? "value" : name;
  const factor = knob.factor / scale(knob, entry);
  const above = [...(factor === 1 ? [] : [String(factor)]), ...(knob.inverse ? [] : [symbol]), ...knob.times];
  const below = [...(knob.inverse ? [symbol] : []), ...perOf(knob, entry)];
  const divisor = below.length > 1 ? ` / (${below.join(" ")})` : below.map((name) => ` / ${name}`).join("");
  return (above.join(" ") || "1") + divisor;
}

function quantitiesOf({ n_samples, n_outputs, batch_size, lr, momentum, dampening, l1_ratio, target_std }) {
  return {
    n_samples,
    n_outputs,
    batch_size,
    lr,
    target_std,
    [NET_MOMENTUM]: momentum ? (1 - momentum) / (1 - dampening) : 1, // torch dampens momentum only
    l1_ratio,
    "(1 - l1_ratio)": l1_ratio === null ? null : 1 - l1_ratio,
  };
}

const argumentOf = (name) => (name.includes("l1_ratio") ? "l1_ratio" : name);

function quantity(knob, name, entry, quantities) {
  const why = `${argumentOf(name)} is needed: ${knob.name} stands for lambda = ${formula(knob, entry)}`;
  return quantities[name] ?? fail(why);
}

/** The lambda of a knob whose value is 1. */
function rate(knob, loss, quantities, data) {
  const entry = entries(knob, quantities.n_outputs, data).get(loss);
  let found = knob.factor / scale(knob, entry);
  for (const name of knob.times) found *= quantity(knob, name, entry, quantities);
  for (const name of perOf(knob, entry)) found /= quantity(knob, name, entry, quantities);
  return found;
}

function checkPenalties(source, target, { penalized, steps }) {
  if (source.penalty === target.penalty && source.beside === target.beside) return;
  const begin = `no conversion from source ${source.name} to target ${target.name}: `;
  if (source.beside && target.beside) {
    const [theirs, ours] = [steps[source.beside], steps[target.beside]];
    fail(
      `${begin}one decays beside ${theirs}, the other beside ${ours}, where the same decay is not as strong`,
    );
  }
  if (source.beside || target.beside) {
    const { name, beside } = source.beside ? source : target;
    fail(`${begin}${name} decays beside ${steps[beside]}, which minimizes no mean loss + penalty`);
  }
  const [one, other] = Object.keys(penalized).filter((penalty) =>
    [source.penalty, target.penalty].includes(penalty),
  );
  fail(`${begin}one penalizes ${penalized[one]}, the other ${penalized[other]}`);
}

const truth = (value) => (value ? "True" : "False");

function checkBias(source, target, decay_bias) {
  const knobs = [source, target];
  const fixed = knobs.filter((knob) => !knob.bias_is_a_choice);
  if (decay_bias !== null) {
    const fine = [decay_bias ? "decayed" : "free", "none", "either"];
    const other = fixed.find(({ bias }) => !fine.includes(bias));
    if (other) fail(`decay_bias=${truth(decay_bias)}: the bias of ${other.name} is always ${other.bias}`);
  } else if (["decayed", "free"].every((bias) => knobs.some((knob) => knob.bias === bias))) {
    const side = fixed.length ? truth(fixed[0].bias === "decayed") : "either";
    const advice =
      fixed.length === 2
        ? "this cannot be changed"
        : `say which it is on both sides by decay_bias, ${side} here`;
    fail(
      `no conversion from source ${source.name}, whose bias is ${source.bias}, to target ${target.name}, ` +
        `whose bias is ${target.bias}: ${advice}`,
    );
  }
}

const possibleLosses = (source, target, n_outputs, data) => {
  const ours = entries(target, n_outputs, data);
  return [...entries(source, n_outputs, data).keys()].filter((loss) => ours.has(loss));
};

/** Python's math.isclose, of numbers from 0. */
const isclose = (a, b) => a === b || Math.abs(a - b) / Math.max(a, b) <= 1e-9;

/** Whether the answer is the same for all of these losses. */
function agree(source, target, losses, quantities, data) {
  const rates = losses.map((loss) => [source, target].map((knob) => rate(knob, loss, quantities, data)));
  return rates.every(([theirs, ours]) => isclose(rates[0][0] * ours, theirs * rates[0][1]));
}

function lossOf(source, target, loss, quantities, data) {
  const { n_outputs } = quantities;
  const missing = loss === "cross_entropy" && n_outputs === 1;
  if (missing) fail("n_outputs must be at least 2 for cross_entropy, got 1");
  const possible = possibleLosses(source, target, n_outputs, data);
  if (!possible.length) {
    const [theirs, ours] = [source, target].map((knob) => lossesOf(knob).join(" or "));
    fail(
      `no conversion from source ${source.name} to target ${target.name} with n_outputs=${n_outputs}: ` +
        `they minimize different losses, ${theirs} and ${ours}`,
    );
  }
  const names = possible.join(", ");
  if (loss === null) {
    if (!agree(source, target, possible, quantities, data)) fail(`loss is needed, one of ${names}`);
    return possible[0];
  }
  return possible.includes(loss) ? loss : fail(`loss must be one of ${names} here, got '${loss}'`);
}

/** The value of a knob that stands for no penalty. */
const nothing = (knob) => (knob.inverse ? Number.POSITIVE_INFINITY : 0);

const powerOf = (knob, value) => (knob.inverse ? 1 / value : value);

/** The loss for which both sides are compared, the lambda of the reference, and the target's value; or an error. */
function converted({ value, loss, decay_bias, ...settings }, data) {
  const [source, target] = [settings.source, settings.target].map((name) => knobOf(name, data));
  const quantities = quantitiesOf(settings);
  if (source.inverse && value === 0) fail(`value must be finite and > 0, got ${repr(value)}`);
  checkPenalties(source, target, data);
  checkBias(source, target, decay_bias);
  const common = lossOf(source, target, loss, quantities, data);
  const [theirs, ours] = [source, target].map((knob) => rate(knob, common, quantities, data));
  if (ours === 0) {
    fail(`target: ${target.name} = ${formula(target, lossesOf(target)[0])} is 0 here, whatever its value`);
  }
  if (theirs === 0 || value === nothing(source)) return { common, lambda: 0, result: nothing(target) };
  const result = powerOf(target, (powerOf(source, value) * theirs) / ours);
  if (result > 0 && result < Number.POSITIVE_INFINITY) {
    return { common, lambda: powerOf(source, value) * theirs, result };
  }
  const names = new Set([source, target].flatMap((knob) => [...knob.times, ...perOf(knob, common)]));
  const told = names.size ? ` by ${[...names].join(", ")}` : "";
  return fail(`value, converted${told}, must be finite and > 0, got ${repr(result)}`);
}

const convert = (settings, data) => converted(settings, data).result;

// What the form shows -----------------------------------------------------------------------------------------------

const DIGITS = 10;
const DEFAULTS = { n_outputs: 1, momentum: 0, dampening: 0 };
const REFERENCE = {
  l2: "mean loss + (λ/2) ‖w‖²",
  l1: "mean loss + λ ‖w‖₁",
  l21: "mean loss + λ Σⱼ ‖wⱼ‖",
};

function refuses(check) {
  try {
    check();
    return false;
  } catch {
    return true;
  }
}

/** Whether the answer can depend on an argument of `convert`; a loss that is told can always be taken back. */
function needs(argument, settings, data) {
  const pair = [settings.source, settings.target].map((name) => knobOf(name, data));
  const names = pair.flatMap(({ times, per }) => [...times, ...per].map(argumentOf));
  if (refuses(() => checkPenalties(...pair, data))) return false;
  switch (argument) {
    case "decay_bias":
      return [null, true, false].some((choice) => refuses(() => checkBias(...pair, choice)));
    case "loss":
      return (
        settings.loss !== null || [1, 2, 3].some((n_outputs) => asksForLoss(pair, n_outputs, settings, data))
      );
    case "n_outputs":
      return settings.loss === "cross_entropy" || names.includes(argument) || pair.some(knowsOutputs);
    case "momentum":
      return names.includes(NET_MOMENTUM);
    case "dampening":
      return names.includes(NET_MOMENTUM) && settings.momentum > 0;
    default:
      return names.includes(argument);
  }
}

const knowsOutputs = (knob) => lossesOf(knob).some((loss) => loss.includes(" of "));

function asksForLoss(pair, n_outputs, settings, data) {
  const quantities = quantitiesOf({ ...settings, n_outputs });
  for (const name of Object.keys(quantities)) quantities[name] ??= 1;
  return !agree(...pair, possibleLosses(...pair, n_outputs, data), quantities, data);
}

/** What a knob's library minimizes or does, as it is written by hand. */
const written = (text) =>
  text
    .replace(/\|([^|]+)\|(?=[\^_])/g, "‖$1‖")
    .replaceAll("^2", "²")
    .replaceAll("_21", "₂₁")
    .replaceAll("‖_1", "‖₁")
    .replace(/\bsum\b/g, "Σ")
    .replace(/\blambda\b/g, "λ")
    .replace(/\beta\b/g, "η")
    .replace(/ - |^-(?=\w)/g, (dash) => dash.replace("-", "\u2212"));

const shown = (x) => python(Number(x.toPrecision(DIGITS)));

function meaning({ penalty, beside }, lambda, { steps }) {
  if (lambda === 0) return "no penalty";
  const does = REFERENCE[penalty] ?? `w −= lr λ w in each step, beside ${steps[beside]}`;
  return `${does}, with λ = ${shown(lambda)}`;
}

function biasOf({ bias }, decay_bias) {
  if (bias === "none") return "it has no bias";
  if (bias === "either") return "the bias is as on the other side";
  const told = { true: "decayed", false: "free" }[decay_bias] ?? bias;
  return `the bias is ${told}${told === bias ? "" : ", not by default"}`;
}

const describe = (knob, entry, decay_bias) =>
  `${written(knob.objective)}; λ = ${written(formula(knob, entry))}; ${biasOf(knob, decay_bias)}`;

/** The same in Python. */
function call(settings, data) {
  const { value, source, target, ...others } = settings;
  const literal = (x) => ({ string: `"${x}"`, boolean: truth(x) })[typeof x] ?? python(x);
  const told = Object.keys(others).filter(
    (name) => settings[name] !== (DEFAULTS[name] ?? null) && needs(name, settings, data),
  );
  const rest = told.map((name) => `, ${name}=${literal(settings[name])}`).join("");
  return `convert(${repr(value)}, "${source}", "${target}"${rest})`;
}

function answer(settings, data) {
  try {
    return converted(settings, data);
  } catch ({ message }) {
    return { message };
  }
}

/** The names of all knobs, by the titles of their libraries. */
const grouped = ({ libraries }) =>
  Object.entries(libraries).map(([title, knobs]) => [title, Object.keys(knobs).map((name) => [name, name])]);

define({
  name: "converter",
  title: "Convert a weight decay",
  live: true,
  controls(data) {
    const { largest, losses } = data;
    const when = (name) => ({ when: (settings) => needs(name, settings, data) });
    const from0 = {
      fits: (x) => x >= 0 && x <= largest,
      want: `a number from 0 to ${largest.toExponential()}`,
    };
    const above0 = {
      fits: (x) => x > 0 && x <= largest,
      want: `a number above 0, at most ${largest.toExponential()}`,
    };
    const below1 = { fits: (x) => x >= 0 && x < 1, want: "a number from 0 to below 1" };
    const upTo1 = { fits: (x) => x >= 0 && x <= 1, want: "a number from 0 to 1", optional: true };
    const whole = {
      fits: (x) => Number.isInteger(x) && x >= 1 && x <= largest,
      want: "a whole number from 1",
    };
    const size = (name, label) => number(name, label, { ...above0, optional: true, ...when(name) });
    const biases = [
      [null, "each by its default"],
      [false, "free on both sides"],
      [true, "decayed on both sides"],
    ];
    return [
      choice("source", "from", grouped(data)),
      number("value", "value", from0),
      choice("target", "to", grouped(data)),
      choice("decay_bias", "the bias is", biases, when("decay_bias")),
      choice("loss", "loss", [[null, "any"], ...losses.map((loss) => [loss, loss])], when("loss")),
      size("n_samples", "n_samples (rows)"),
      number("n_outputs", "n_outputs", { ...whole, ...when("n_outputs") }),
      size("batch_size", "batch_size"),
      size("lr", "lr (learning rate)"),
      number("momentum", "momentum", { ...below1, ...when("momentum") }),
      number("dampening", "dampening", { ...below1, ...when("dampening") }),
      number("l1_ratio", "l1_ratio", { ...upTo1, ...when("l1_ratio") }),
      size("target_std", "target_std (of y)"),
    ];
  },
  actions: {
    "Swap from and to": (settings, data) => {
      const { result = Number.POSITIVE_INFINITY } = answer(settings, data);
      const value = result <= data.largest ? Number(result.toPrecision(DIGITS)) : settings.value;
      return { source: settings.target, target: settings.source, value };
    },
  },
  facts(settings, _, data) {
    const [source, target] = [settings.source, settings.target].map((name) => knobOf(name, data));
    const { message, common, lambda, result } = answer(settings, data);
    const entry = (knob) =>
      common ? entries(knob, settings.n_outputs, data).get(common) : lossesOf(knob)[0];
    const asked = needs("decay_bias", settings, data) ? settings.decay_bias : null;
    const decay_bias = refuses(() => checkBias(source, target, asked)) ? null : asked;
    return [
      ...(common
        ? [
            ["result", `${target.name} = ${shown(result)}`],
            ["both mean", meaning(source, lambda, data)],
          ]
        : [["no result", message]]),
      [`from ${source.name}`, describe(source, entry(source), decay_bias)],
      [`to ${target.name}`, describe(target, entry(target), decay_bias)],
      ["in Python", call(settings, data)],
    ];
  },
});
