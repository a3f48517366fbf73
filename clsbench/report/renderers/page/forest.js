// Verdicts as a picture: by metric, the best arm minus each other one, with the interval of the difference. What lies
// within the shaded strip is negligible; an interval that touches no zero decides.
const ROW = 34;

class Forest {
  constructor(host, spec) {
    Object.assign(this, { spec });
    this.svg = make("svg", { role: "img" });
    this.figure = make("figure", { class: "chart" }, make("figcaption", {}, spec.title), this.svg);
    host.append(this.figure);
    new ResizeObserver(() => this.draw()).observe(this.figure);
    this.draw();
  }

  draw() {
    const { rows, margin, share, better, best } = this.spec;
    const width = Math.max(240, this.figure.clientWidth || 330), floor = ROW * rows.length + 8, height = floor + 36;
    const ends = rows.flatMap((row) => [row.low, row.high]);
    const [low, high] = range([...ends, -margin, margin, 0], 0.06), left = 10, right = 10;
    const across = (value) => left + ((value - low) / (high - low)) * (width - left - right);
    const text = (value) => (share ? `${signed(Number((100 * value).toPrecision(3)))}` : signed(Number(value.toPrecision(3))));
    const parts = [];
    if (margin) parts.push(make("rect", { class: "margin", x: across(-margin), y: 0, width: across(margin) - across(-margin), height: floor }));
    parts.push(make("line", { class: "zero", x1: across(0), x2: across(0), y1: 0, y2: floor }));
    rows.forEach((row, place) => {
      const y = ROW * place + 26, name = `${row.name}: ${row.verdict}`;
      parts.push(make("text", { class: "name", x: left, y: y - 10 }, name));
      parts.push(make("line", { class: `line arm-${row.mark}`, x1: across(row.low), x2: across(row.high), y1: y, y2: y }));
      for (const end of [row.low, row.high]) parts.push(make("line", { class: `line arm-${row.mark}`, x1: across(end), x2: across(end), y1: y - 4, y2: y + 4 }));
      parts.push(make("circle", { class: `dot arm-${row.mark}`, cx: across(row.difference), cy: y, r: 4.5 }));
    });
    for (const tick of ticks(low, high, 5)) parts.push(make("text", { x: across(tick), y: floor + 14, "text-anchor": "middle" }, text(tick)));
    const unit = share ? "percentage points; " : "";
    parts.push(make("text", { x: width / 2, y: floor + 30, "text-anchor": "middle" }, `${unit}${better === "higher" ? "right" : "left"} of 0: ${best} is better`));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("aria-label", `${this.spec.title}. ${rows.map((row) => `${row.name}: ${text(row.difference)}, from ${text(row.low)} to ${text(row.high)}, ${row.verdict}`).join(". ")}`);
    this.svg.replaceChildren(...parts);
  }
}

function signed(value) {
  return value > 0 ? `+${value}` : String(value).replace("-", "−");
}
