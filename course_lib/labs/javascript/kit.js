// What the labs share: controls that are declared, a plot, facts in words, the setting in the address.
//
//   define({
//     name: "boundary", title: "Boundary lab",
//     controls: [slider(...), flag(...), choice(...), number(...)],  // or a function of data that returns them
//     plots: [{ label, width, height, x: [0, 4], y: [0, 3], logx: false, names: ["x", "y"] }],
//       // or a function of the settings that returns such: for axes that change, and hold no handles
//     *run(settings, data) { ... },          // the work; yields what is known so far, after some milliseconds
//     draw(settings, found, plots, data) {}, // into plots, each of which is empty
//     facts(settings, found, data) {},       // [[what, text, look?], ...], which the page shows as a list
//     live: true,                            // where screen readers are to say each fact that changes
//     small: { controls: ["weight_decay"], facts: ["angle"], plots: [...] }, // what a small form has, by name
//     actions: { Swap: (settings, data) => changes },  // buttons, with the settings that each changes
//   });
//
// The work runs in slices, so that controls answer at once. `quick: true` marks a control that asks for no new work,
// and `when: (settings, data) => true or false` one that is shown only then.

const SLICE = 8; // milliseconds of work before the page may answer
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Controls ----------------------------------------------------------------------------------------------------------

const controlsOf = ({ controls }, data) => (typeof controls === "function" ? controls(data) : controls);

/** The number that a text is, or NaN. */
const numeral = (text) => (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : Number.NaN);

/** A number on a range of values; `values` increase, and an address may hold any number between their ends. */
function slider(name, label, values, { show = plain, whole = false, quick = false, when } = {}) {
  const ends = [values[0], values.at(-1)];
  return {
    name,
    quick,
    when,
    values,
    write: String,
    read(text) {
      const value = numeral(text);
      const fits = value >= ends[0] && value <= ends[1] && (!whole || Number.isInteger(value));
      return fits ? value : undefined;
    },
    build(id, changed) {
      const input = element("input", { type: "range", id, min: 0, max: values.length - 1, step: 1 });
      const output = element("output", { for: id });
      input.addEventListener("input", () => changed(values[input.value]));
      return {
        row: element("div", { class: "lab-row" }, element("label", { for: id }, label), input, output),
        set(value) {
          const near = values.reduce((best, v, i) => (closer(v, values[best], value) ? i : best), 0);
          input.value = near;
          output.textContent = show(value);
          input.setAttribute("aria-valuetext", show(value));
        },
      };
    },
  };
}

const closer = (candidate, best, value) => Math.abs(candidate - value) < Math.abs(best - value);

function flag(name, label, { quick = false, when } = {}) {
  return {
    name,
    quick,
    when,
    write: String,
    read: (text) =>
      new Map([
        ["true", true],
        ["false", false],
      ]).get(text),
    build(id, changed) {
      const input = element("input", { type: "checkbox", id });
      input.addEventListener("change", () => changed(input.checked));
      const row = element("div", { class: "lab-row" }, element("label", { for: id }, input, label));
      const set = (value) => {
        input.checked = value;
      };
      return { row, set };
    },
  };
}

/**
 * One of several; `options` are the texts by value, or [value, text] each where a value is no string. Instead of its
 * text, a value may have options of its own: then it is their heading.
 */
function choice(name, label, options, { quick = false, when } = {}) {
  const pairs = (of) => (Array.isArray(of) ? of : Object.entries(of));
  const leaves = (of) =>
    pairs(of).flatMap(([value, text]) => (typeof text === "object" ? leaves(text) : [value]));
  const build = ([value, text]) =>
    typeof text === "object"
      ? element("optgroup", { label: value }, ...pairs(text).map(build))
      : element("option", { value }, text);
  const values = new Map(leaves(options).map((value) => [String(value), value]));
  return {
    name,
    quick,
    when,
    write: String,
    read: (text) => values.get(text),
    build(id, changed) {
      const select = element("select", { id }, ...pairs(options).map(build));
      select.addEventListener("change", () => changed(values.get(select.value)));
      const row = element("div", { class: "lab-row" }, element("label", { for: id }, label), select);
      const set = (value) => {
        select.value = value;
      };
      return { row, set };
    },
  };
}

/**
 * A number that is typed; `fits` says which will do, and `want` says it in words. An optional one may be left empty,
 * and then is null.
 */
function number(name, label, { fits, want, optional = false, quick = false, when }) {
  const accepted = (text) => {
    const value = numeral(text);
    return fits(value) ? value : undefined;
  };
  return {
    name,
    quick,
    when,
    write: String,
    read: (text) => (optional && text === "null" ? null : accepted(text)),
    build(id, changed, refused) {
      const told = { autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-wrong` };
      const input = element("input", { type: "text", inputmode: "decimal", id, ...told });
      const wrong = element("span", { id: `${id}-wrong`, class: "lab-wrong" });
      const typed = () => {
        const text = input.value.trim();
        return optional && text === "" ? null : accepted(pointed(text));
      };
      const complain = (why) => {
        wrong.textContent = why;
        input.setAttribute("aria-invalid", why !== "");
      };
      input.addEventListener("input", () => {
        const value = typed();
        if (value !== undefined) return changed(value);
        complain(`${name} must be ${want}${input.value.includes(",") ? ", without a comma" : ""}`);
        refused(wrong.textContent);
      });
      return {
        row: element("div", { class: "lab-row" }, element("label", { for: id }, label), input, wrong),
        set(value) {
          if (typed() !== value) input.value = value ?? ""; // else it stays as it was typed
          complain("");
        },
      };
    },
  };
}

/** A typed number with a point for its comma: some keypads have no point. 1,000 could be either, and stays. */
const pointed = (text) => (/^[1-9]\d{0,2}(,\d{3})+$/.test(text) ? text : text.replace(",", "."));

/** Points [[x, y], ...] of a plot, which a `handle` drags: nothing to build. */
function points(name, count, [[left, right], [low, high]]) {
  const inside = ([x, y]) => x >= left && x <= right && y >= low && y <= high;
  return {
    name,
    write: (value) => value.flat().map(plain).join(","),
    read(text) {
      const flat = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
      const pairs = Array.from({ length: count }, (_, i) => flat.slice(2 * i, 2 * i + 2));
      return flat.length === 2 * count && pairs.every(inside) ? pairs : undefined;
    },
  };
}

/** Round numbers from low to high, ten in every tenfold. */
function logspace(low, high) {
  const decades = Array.from({ length: Math.round(Math.log10(high / low)) + 1 }, (_, k) => k);
  const values = decades.flatMap((k) => [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8].map((m) => low * m * 10 ** k));
  return values.map((value) => Number(value.toPrecision(3))).filter((value) => value <= high);
}

function linspace(low, high, count) {
  return Array.from({ length: count }, (_, i) => round(low + ((high - low) * i) / (count - 1), 12));
}

// Numbers in words --------------------------------------------------------------------------------------------------

const round = (value, digits) => Number(value.toFixed(digits));
const minus = (text) => text.replace(/^-/, "\u2212");
const fixed = (digits) => (value) => minus(value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1"));

/** A number with up to four digits, the shortest way. */
function plain(value) {
  return String(Number(value.toPrecision(4)));
}

/** A count, with spaces between thousands. */
function counted(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

// Plots -------------------------------------------------------------------------------------------------------------

/** An empty plot with its axes; `px` and `py` turn its units into those of the picture. */
function makePlot(
  id,
  { label, width = 340, height = 240, x, y, logx = false, logy = false, names, ticks = {} },
) {
  const [left, right, top, bottom] = [46, 10, 10, 40];
  const scale = (log) => (log ? Math.log10 : Number);
  const place =
    ([low, high], from, to, map) =>
    (v) =>
      from + ((map(v) - map(low)) / (map(high) - map(low))) * (to - from);
  const px = place(x, left, width - right, scale(logx));
  const py = place(y, height - bottom, top, scale(logy));
  const inner = drawn("g", { "clip-path": `url(#${id})` });
  const frame = { x: left, y: top, width: width - left - right, height: height - top - bottom };
  const picture = drawn(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label },
    drawn("clipPath", { id }, drawn("rect", frame)),
    drawn("rect", { class: "frame", ...frame }),
    ...(ticks.x ?? axisTicks(x, logx)).map((v) => tick(px(v), height - bottom, v, "x")),
    ...(ticks.y ?? axisTicks(y, logy)).map((v) => tick(left, py(v), v, "y")),
    drawn("text", { x: (left + width - right) / 2, y: height - 6, class: "name" }, names[0]),
    drawn(
      "text",
      { transform: `translate(12 ${(top + height - bottom) / 2}) rotate(-90)`, class: "name" },
      names[1],
    ),
    inner,
  );
  const back = (position, from, to, low, high) => low + ((position - from) / (to - from)) * (high - low);
  return {
    picture,
    inner,
    handles: {},
    px,
    py,
    x,
    y,
    /** The units of a point of the screen; for linear axes. */
    units(event) {
      const box = picture.getBoundingClientRect();
      const [u, v] = [event.clientX - box.left, event.clientY - box.top].map((p) => (p * width) / box.width);
      return [back(u, px(x[0]), px(x[1]), ...x), back(v, py(y[0]), py(y[1]), ...y)];
    },
    line(points, look, attributes = {}) {
      const path = points.map(([u, v], i) => `${i ? "L" : "M"}${px(u).toFixed(2)} ${py(v).toFixed(2)}`);
      inner.append(drawn("path", { d: path.join(""), ...stroke(look), ...attributes }));
    },
    /** Lines that do not hang together, such as those of `contour`: [[[u, v], [u, v]], ...]. */
    pieces(pieces, look, attributes = {}) {
      const path = pieces.map(
        ([[a, b], [c, d]]) =>
          `M${px(a).toFixed(1)} ${py(b).toFixed(1)}L${px(c).toFixed(1)} ${py(d).toFixed(1)}`,
      );
      inner.append(drawn("path", { d: path.join(""), ...stroke(look), ...attributes }));
    },
    /** A map of values by row (v) and column (u), in the color of each value. */
    heat(values, us, vs, color) {
      const edges = (places) =>
        [places[0], ...places.slice(1).map((place, i) => (place + places[i]) / 2), places.at(-1)].map((p) =>
          p.toFixed(1),
        );
      const [xs, ys] = [edges(us.map(px)), edges(vs.map(py))];
      const paths = {};
      values.forEach((row, j) => {
        let from = 0;
        const colors = row.map(color);
        for (let i = 1; i <= row.length; i += 1) {
          if (colors[i] === colors[from]) continue;
          paths[colors[from]] =
            `${paths[colors[from]] ?? ""}M${xs[from]} ${ys[j]}H${xs[i]}V${ys[j + 1]}H${xs[from]}Z`;
          from = i;
        }
      });
      for (const [fill, d] of Object.entries(paths))
        inner.append(drawn("path", { d, fill, "shape-rendering": "crispEdges" }));
    },
    /** Many small round points, as one path; "stroke-width" is their size. */
    scatter(points, attributes = {}) {
      const d = points.map(([u, v]) => `M${px(u).toFixed(2)} ${py(v).toFixed(2)}h0`).join("");
      inner.append(drawn("path", { d, "stroke-linecap": "round", ...attributes }));
    },
    text(u, v, text, attributes = {}) {
      inner.append(drawn("text", { x: px(u), y: py(v), ...attributes }, text));
    },
    dot(u, v, attributes = {}) {
      inner.append(drawn("circle", { cx: px(u), cy: py(v), r: 5, ...attributes }));
    },
  };
}

function tick(u, v, value, axis) {
  const place = axis === "x" ? { x: u, y: v + 15 } : { x: u - 6, y: v + 4 };
  return drawn("text", { ...place, class: `tick ${axis}` }, power(value));
}

/** Where an axis gets its numbers: each tenfold, or steps of 1, 2 or 5. */
function axisTicks([low, high], log) {
  if (log) {
    const from = Math.ceil(Math.log10(low) - 1e-9);
    const count = Math.floor(Math.log10(high) + 1e-9) - from + 1;
    const every = Math.ceil(count / 6);
    return Array.from({ length: Math.ceil(count / every) }, (_, i) => 10 ** (from + i * every));
  }
  const rough = (high - low) / 5;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = size * [1, 2, 5, 10].find((factor) => factor * size >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) =>
    round((first + i) * step, 10),
  );
}

/** A number of an axis; beyond a thousand a tenfold is written as a power of ten. */
function power(value) {
  const exponent = round(Math.log10(value), 9);
  if (!Number.isInteger(exponent) || Math.abs(exponent) <= 3) return minus(String(value));
  return `10${[...String(exponent)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("")}`;
}

const stroke = ({ color, dashes = "" }) => ({
  stroke: color,
  "stroke-width": 2,
  "stroke-dasharray": dashes,
  class: "curve",
});

/** The pieces of the lines on which a grid of values, by row (v) and column (u), has a level: marching squares. */
function contour(values, us, vs, level) {
  const pieces = [];
  for (let j = 1; j < vs.length; j += 1) {
    for (let i = 1; i < us.length; i += 1) {
      const corners = [values[j - 1][i - 1], values[j - 1][i], values[j][i], values[j][i - 1]];
      const above = corners.map((value) => value > level);
      if (above.every((one) => one === above[0])) continue;
      const places = [
        [us[i - 1], vs[j - 1]],
        [us[i], vs[j - 1]],
        [us[i], vs[j]],
        [us[i - 1], vs[j]],
      ];
      const ends = [];
      for (const [k, place] of places.entries()) {
        const next = (k + 1) % 4;
        if (above[k] === above[next]) continue;
        const share = (level - corners[k]) / (corners[next] - corners[k]);
        ends.push(place.map((from, axis) => from + share * (places[next][axis] - from)));
      }
      for (let k = 0; k < ends.length; k += 2) pieces.push([ends[k], ends[k + 1]]);
    }
  }
  return pieces;
}

/** A line of the list of facts; with a look, a sample of the line that it is about stands before it. */
function fact([what, text, look]) {
  const key = look
    ? [drawn("svg", { viewBox: "0 0 28 8", class: "key" }, drawn("path", { d: "M0 4H28", ...stroke(look) }))]
    : [];
  return element("div", {}, element("dt", {}, ...key, what), element("dd", {}, text));
}

/** A point that mouse, finger and arrow keys move. It is made once, and then placed anew. */
function handle(plot, { value, label, step = 0.1, color, marker = "circle" }, changed) {
  plot.handles[label] ??= makeHandle(plot, { label, color, marker });
  const { grip } = Object.assign(plot.handles[label], { value, step, changed });
  grip.setAttribute("transform", `translate(${plot.px(value[0])} ${plot.py(value[1])})`);
  grip.setAttribute("aria-valuenow", value[0]);
  grip.setAttribute("aria-valuetext", value.map((v) => minus(plain(v))).join(", "));
}

function makeHandle(plot, { label, color, marker }) {
  const shape =
    marker === "square"
      ? drawn("rect", { x: -6, y: -6, width: 12, height: 12, fill: "white", stroke: color })
      : drawn("circle", { r: 7, fill: color, stroke: color });
  const [low, high] = plot.x;
  const range = { "aria-label": label, "aria-valuemin": low, "aria-valuemax": high };
  const reach = drawn("circle", { r: 18, class: "reach" });
  const grip = drawn("g", { class: "handle", tabindex: 0, role: "slider", ...range }, reach, shape);
  const made = { grip };
  const inside = ([low, high], v) => clip(round(Math.round(v / made.step) * made.step, 6), low, high);
  const move = ([u, v]) => {
    made.value = [inside(plot.x, u), inside(plot.y, v)]; // for a key that comes before the next picture
    made.changed(made.value);
  };
  const follow = (event) => move(plot.units(event));
  grip.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!by) return;
    event.preventDefault();
    move(made.value.map((v, i) => v + by[i] * made.step));
  });
  grip.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    grip.focus();
    grip.setPointerCapture(event.pointerId);
    grip.addEventListener("pointermove", follow);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    grip.addEventListener(end, () => grip.removeEventListener("pointermove", follow));
  }
  plot.picture.append(grip);
  return made;
}

// The lab itself ----------------------------------------------------------------------------------------------------

/** Whether the address of the page asks for a lab. */
const asked = ({ name }) => location.hash.slice(1).split("?")[0] === name;

/** Open a lab when its place comes near, or the address asks for it: until then the page does not compute for it. */
function define(lab) {
  for (const root of document.querySelectorAll(`.lab[data-lab="${lab.name}"]:not(.lab-awaited)`)) {
    const near = new IntersectionObserver((places) => come(places.some((place) => place.isIntersecting)), {
      rootMargin: "100%",
    });
    const called = () => come(asked(lab) || !lab.run); // what computes nothing is there before the page is shown
    const come = (now) => {
      if (!now) return;
      near.disconnect();
      removeEventListener("hashchange", called);
      const { settings, data } = JSON.parse(root.dataset.given);
      open(formOf(lab, data), root, settings, data);
    };
    root.classList.add("lab-awaited");
    addEventListener("hashchange", called);
    near.observe(root.parentElement); // the lab itself has no place yet
    called();
  }
}

/** A lab, or its small form where the data ask for it: with fewer controls, plots and facts. */
function formOf(lab, data) {
  if (!data.small) return lab;
  const { controls, facts, plots } = lab.small;
  return {
    ...lab,
    plots,
    controls: controlsOf(lab, data).filter(({ name }) => controls.includes(name)),
    facts: (...given) => lab.facts(...given).filter(([what]) => facts.includes(what)),
  };
}

function open(lab, root, defaults, data) {
  const settings = { ...defaults };
  const controls = controlsOf(lab, data);
  const onSite = Boolean(root.closest(".bd-article")); // elsewhere an address leads nowhere
  const planned = (plot) => (typeof plot === "function" ? plot(settings) : plot);
  const made = (plot, i) => makePlot(`${lab.name}-plot-${i}`, planned(plot));
  const plots = (lab.plots ?? []).map(made);
  const facts = element("dl", { class: "lab-facts", ...(lab.live && { "aria-live": "polite" }) });
  const said = element("p", { class: "lab-said", role: "status" });
  const rows = {};
  const refusals = new Map(); // what is wrong with a value that is typed, by the control's name
  let job = { found: undefined, work: null, timer: 0 };
  let waiting = 0;

  function changed(name, value) {
    refusals.delete(name);
    settings[name] = value;
    render(controls.find((control) => control.name === name));
    said.textContent = "";
    write();
  }

  function refused(name, why) {
    refusals.set(name, why);
    said.textContent = "";
    draw();
  }

  const shown = ({ when }) => !when || when(settings, data);

  function place(control, inUse) {
    const { row, set } = rows[control.name];
    row.hidden = !shown(control) && !inUse;
    if (row.hidden) refusals.delete(control.name);
    if (!refusals.has(control.name)) set(settings[control.name]);
  }

  function render(control) {
    for (const one of controls) if (one.build) place(one, one === control);
    if (!control?.quick) {
      clearTimeout(job.timer);
      job = { found: undefined, work: lab.run?.({ ...settings }, data), timer: 0 };
      advance(job);
    }
    drawSoon();
  }

  function drawSoon() {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(draw);
  }

  function advance(current) {
    const end = performance.now() + SLICE;
    let step = { done: !current.work };
    while (!step.done) {
      step = current.work.next(); // one at least: nothing can be drawn without the first
      current.found = step.value ?? current.found;
      if (performance.now() >= end) break;
    }
    root.toggleAttribute("data-busy", !step.done);
    if (!step.done) {
      current.timer = setTimeout(() => {
        advance(current);
        drawSoon();
      }, SLICE);
    }
  }

  function draw() {
    for (const [i, plot] of plots.entries()) {
      plot.inner.replaceChildren();
      if (typeof lab.plots[i] !== "function") continue;
      plots[i] = made(lab.plots[i], i);
      plot.picture.replaceWith(plots[i].picture);
    }
    if (!refusals.size) lab.draw?.(settings, job.found, plots, data, changed);
    const why = [...refusals.values()].map((text) => ["not computed", text]);
    tell(why.length ? why : lab.facts(settings, job.found, data));
  }

  /** Show the facts; what has not changed is not touched. */
  function tell(told) {
    while (facts.children.length > told.length) facts.lastChild.remove();
    told.map(fact).forEach((row, i) => {
      const old = facts.children[i];
      if (!old) facts.append(row);
      else if (!old.isEqualNode(row)) old.replaceWith(row);
    });
  }

  function query() {
    return controls
      .filter(shown)
      .map(({ name, write }) => `${name}=${encodeURIComponent(write(settings[name]))}`)
      .join("&");
  }

  function write() {
    if (!onSite) return;
    try {
      history.replaceState(null, "", `#${lab.name}?${query()}`);
    } catch {
      // Too many changes at once for this browser: the next one is written.
    }
  }

  function read() {
    if (!onSite || !asked(lab)) return;
    const given = new URLSearchParams(location.hash.split(/\?(.*)/s)[1]);
    const known = controls.map((control) => control.name);
    const wrong = [...given.keys()].some((key) => !known.includes(key));
    const bad = controls.filter(
      (control) => given.has(control.name) && control.read(given.get(control.name)) === undefined,
    );
    for (const control of controls) {
      const value = given.has(control.name) ? control.read(given.get(control.name)) : undefined;
      settings[control.name] = value === undefined ? defaults[control.name] : value;
    }
    refusals.clear();
    said.textContent =
      bad.length || wrong
        ? `The address asks for what this lab does not have${bad.length ? `: ${bad.map((control) => control.name).join(", ")}` : ""}. The default stands there instead.`
        : "";
    render();
    root.scrollIntoView();
  }

  function become(changes, words) {
    Object.assign(settings, changes);
    refusals.clear();
    render();
    write();
    said.textContent = words;
  }

  async function copy() {
    write();
    try {
      await navigator.clipboard.writeText(location.href);
      said.textContent = "The address of this setting is copied.";
    } catch {
      said.textContent = `The address of this setting: ${location.href}`;
    }
  }

  function button(text, action) {
    const made = element("button", { type: "button" }, text);
    made.addEventListener("click", action);
    return made;
  }

  const panel = element("div", { class: "lab-controls" });
  for (const control of controls.filter((one) => one.build)) {
    const { name } = control;
    rows[name] = control.build(
      `${lab.name}-${name}`,
      (value) => changed(name, value),
      (why) => refused(name, why),
    );
    panel.append(rows[name].row);
  }
  const buttons = element("div", { class: "lab-buttons" });
  for (const [text, change] of Object.entries(lab.actions ?? {})) {
    buttons.append(button(text, () => become(change(settings, data), "")));
  }
  buttons.append(button("Reset", () => become(structuredClone(defaults), "As at the start.")));
  if (onSite) buttons.append(button("Copy link", copy));
  root.replaceChildren(
    element("p", { class: "lab-title" }, lab.title),
    panel,
    element("div", { class: "lab-plots" }, ...plots.map((plot) => plot.picture)),
    facts,
    buttons,
    said,
  );
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", lab.title);
  root.classList.add("lab-on");
  root.classList.toggle("lab-form", !plots.length);
  root.classList.toggle("lab-small", Boolean(data.small));
  addEventListener("hashchange", read);
  render();
  read();
  if (!lab.run) draw(); // before a browser looks for the place in the page that its address asks for
}
