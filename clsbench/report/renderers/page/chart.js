// A line chart as SVG: means with bands, a rule at the epoch of the slider, and a cursor for mouse and keyboard.
class Chart {
  // spec: {title, note, share, log, level, x: label, lines: [{mark, name, x, y, low, high}]}
  constructor(host, stage, spec) {
    Object.assign(this, { stage, spec, place: null });
    this.svg = make("svg", { role: "img", tabindex: 0 });
    this.readout = make("p", { class: "readout", "aria-live": "polite" });
    this.caption = make("figcaption", {}, "");
    this.figure = make("figure", { class: "chart" }, this.caption, this.svg, this.readout);
    host.append(this.figure);
    this.svg.addEventListener("pointermove", (event) => this.pointAt(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    this.svg.addEventListener("blur", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(this.figure);
    this.draw();
  }

  draw() {
    const spec = typeof this.spec === "function" ? this.spec() : this.spec;
    const lines = spec.lines.filter((line) => line.y.some((value) => value !== null));
    const width = Math.max(240, this.figure.clientWidth || 330), height = spec.height || 190;
    Object.assign(this, { lines, shownSpec: spec, width, height, left: 46, right: 10, top: 8, bottom: 34 });
    const xs = lines.flatMap((line) => line.x), ys = this.values(lines, spec);
    this.xLog = spec.along === "log";
    this.xRange = spec.xRange || (this.xLog ? range(xs.map(Math.log10), 0.02) : range(xs, 0));
    this.yRange = spec.yRange || (spec.log ? range(ys.map(Math.log10), 0.04) : range(ys, 0.06));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("aria-label", `${spec.title}. ${this.summary()} Arrow keys read the values.`);
    this.caption.replaceChildren(spec.title, spec.log ? make("small", {}, " log scale") : "");
    this.svg.replaceChildren(...this.axes(), ...this.levels(), ...lines.map((line) => this.line(line)));
    this.rule = make("line", { class: "rule", y1: this.top, y2: height - this.bottom });
    this.cursor = make("line", { class: "cursor", y1: this.top, y2: height - this.bottom, visibility: "hidden" });
    this.svg.append(this.rule, this.cursor);
    if (!lines.length) this.svg.append(make("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "no numbers"));
    this.moveRule();
  }

  values(lines, spec) {
    const found = lines.flatMap((line) => [...line.y, ...(line.low || []), ...(line.high || [])]);
    const known = found.filter((value) => value !== null && (!spec.log || value > 0));
    if (spec.level && !spec.log) known.push(spec.level.value);
    return known.length ? known : [0, 1];
  }

  across(value) {
    const [low, high] = this.xRange, at = this.xLog ? Math.log10(value) : value;
    return this.left + ((at - low) / (high - low || 1)) * (this.width - this.left - this.right);
  }

  down(value) {
    const [low, high] = this.yRange, at = this.shownSpec.log ? Math.log10(Math.max(value, 10 ** low)) : value;
    return this.top + (1 - (at - low) / (high - low || 1)) * (this.height - this.top - this.bottom);
  }

  axes() {
    const spec = this.shownSpec, parts = [], floor = this.height - this.bottom;
    for (const tick of yTicks(this.yRange, spec.log)) {
      const y = this.down(tick), text = spec.share ? `${Number((100 * tick).toPrecision(4))}%` : tickText(tick);
      parts.push(make("line", { class: "axis", x1: this.left, x2: this.width - this.right, y1: y, y2: y }));
      parts.push(make("text", { x: this.left - 5, y: y + 4, "text-anchor": "end" }, text));
    }
    for (const tick of this.xLog ? yTicks(this.xRange, true) : ticks(...this.xRange, 5)) {
      parts.push(make("text", { x: this.across(tick), y: floor + 15, "text-anchor": "middle" }, tickText(tick)));
    }
    parts.push(make("text", { x: (this.left + this.width) / 2, y: this.height - 3, "text-anchor": "middle" }, spec.x));
    return parts;
  }

  levels() {
    const level = this.shownSpec.level;
    if (!level) return [];
    const y = this.down(level.value);
    return [
      make("line", { class: "level", x1: this.left, x2: this.width - this.right, y1: y, y2: y }),
      make("text", { x: this.width - this.right, y: y - 4, "text-anchor": "end" }, level.label),
    ];
  }

  line(line) {
    const at = (values, place) => `${this.across(line.x[place]).toFixed(1)},${this.down(values[place]).toFixed(1)}`;
    const known = line.y.map((value, place) => (value === null ? null : place)).filter((place) => place !== null);
    const path = known.map((place) => (known.includes(place - 1) && place ? "L" : "M") + at(line.y, place)).join("");
    const group = make("g", { class: `series arm-${line.mark}` });
    if (line.low) {
      const there = known.map((place) => at(line.low, place)), back = known.map((place) => at(line.high, place)).reverse();
      group.append(make("path", { class: "band", d: `M${[...there, ...back].join("L")}Z` }));
    }
    group.append(make("path", { class: "line", d: path, "data-points": known.length }));
    if (known.length <= 45) {
      for (const place of known) {
        group.append(make("circle", { class: "dot", r: 2.4, cx: this.across(line.x[place]), cy: this.down(line.y[place]) }));
      }
    }
    return group;
  }

  summary() {
    if (!this.lines.length) return "No numbers.";
    const ends = this.lines.map((line) => `${line.name} ends at ${shown(lastOf(line.y), this.shownSpec.share)}`);
    return `${ends.join("; ")}.`;
  }

  moveRule() {
    const at = this.shownSpec.rule ? this.shownSpec.rule() : null;
    this.rule.setAttribute("visibility", at === null ? "hidden" : "visible");
    if (at === null) return;
    const x = this.across(Math.min(Math.max(at, this.xRange[0]), this.xRange[1]));
    this.rule.setAttribute("x1", x);
    this.rule.setAttribute("x2", x);
  }

  pointAt(event) {
    if (!this.lines.length) return;
    const box = this.svg.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * this.width;
    const xs = this.lines[0].x, near = xs.map((value) => Math.abs(this.across(value) - x));
    this.point(near.indexOf(Math.min(...near)));
  }

  key(event) {
    const most = Math.max(...this.lines.map((line) => line.x.length)) - 1;
    const from = this.place === null ? most : this.place;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: most }[event.key];
    if (to === undefined || !this.lines.length) return;
    event.preventDefault();
    this.point(Math.min(Math.max(to, 0), most));
  }

  point(place) {
    this.place = place;
    this.cursor.setAttribute("visibility", place === null ? "hidden" : "visible");
    if (place === null) {
      this.readout.textContent = "";
      return;
    }
    const at = this.lines[0].x[Math.min(place, this.lines[0].x.length - 1)];
    this.cursor.setAttribute("x1", this.across(at));
    this.cursor.setAttribute("x2", this.across(at));
    const said = this.lines.map((line) => `${line.name} ${shown(line.y[place] ?? null, this.shownSpec.share)}`);
    this.readout.textContent = `${this.shownSpec.x} ${tickText(Number(at.toPrecision(4)))}: ${said.join(", ")}`;
  }
}

function range(values, room) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  const low = Math.min(...known), high = Math.max(...known);
  if (!known.length) return [0, 1];
  if (low === high) return [low - (room ? Math.abs(low) * 0.1 || 0.5 : 0), high + (Math.abs(high) * 0.1 || 0.5)];
  return [low - room * (high - low), high + room * (high - low)];
}

function yTicks([low, high], log) {
  if (!log) return ticks(low, high, 4);
  const powers = ticks(low, high, 4).filter((power) => Number.isInteger(Number(power.toFixed(6))));
  return (powers.length > 1 ? powers : ticks(low, high, 4)).map((power) => Number((10 ** power).toPrecision(2)));
}

function lastOf(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known[known.length - 1] : null;
}
