// The marbles of one arm on the terrain of its loss. A marble stands at its sample's margin and loss; where several
// would overlap they are piled up.
const RADIUS = 4;

class Terrain {
  constructor(host, stage, side) {
    Object.assign(this, { stage, side, marbles: null, near: null, own: null });
    this.choice = make("select", { "aria-label": `arm on the ${side}`, onchange: () => this.show(this.choice.value) });
    this.canvas = make("canvas", { role: "img", tabindex: 0 });
    this.said = make("p", { class: "said", "aria-live": "off" });
    this.tip = make("div", { class: "tip", role: "status", hidden: true });
    this.title = make("div", { class: "row" });
    this.panel = make("div", { class: "panel" }, this.title, this.canvas, this.said, this.tip);
    host.append(this.panel);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  listen() {
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => this.point(null));
    this.canvas.addEventListener("blur", () => this.point(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("pointerdown", (event) => {
      if (!this.data.terrain || !this.isOwn(event)) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.dragged = true;
    });
    this.canvas.addEventListener("pointerup", () => { this.dragged = false; });
  }

  async show(name) {
    this.name = name;
    this.data = this.stage.charts.seen[name];
    this.arm = this.stage.charts.arms.find((arm) => arm.name === name) || { mark: 4, name };
    const label = make("strong", { class: `arm arm-${this.arm.mark}` }, name);
    this.title.replaceChildren(...(this.stage.watched.length > 2 ? [this.choice, label] : [label]));
    this.choice.value = name;
    const { blob, shape, top } = this.data.marbles;
    const values = new Int16Array(await picture(blob)), size = shape[1] * shape[2];
    if (this.name !== name) return;
    this.marbles = { values, size, samples: shape[2], top };
    this.heights();
    this.draw();
    this.stage.reliefs.forEach((relief) => relief.draw());
  }

  heights() {
    const { terrain } = this.data;
    this.top = terrain ? Math.max(...terrain.high) : this.marbles.top;
    const pull = terrain ? terrain.pull : [], most = Math.max(...pull, 0);
    let flat = -1;
    while (terrain && flat + 1 < pull.length && pull[flat + 1] < 0.01 * most && flat < pull.length / 2) flat += 1;
    this.flatTo = flat >= 2 ? this.marginAt(flat) : null;
  }

  marginAt(place) {
    return this.stage.charts.reach * ((2 * place) / (this.data.terrain.pull.length - 1) - 1);
  }

  // A value of the terrain's table at a margin, between its points; pulls by their logarithm.
  at(table, margin, log = false) {
    const last = table.length - 1;
    const where = Math.min(Math.max(((margin / this.stage.charts.reach + 1) / 2) * last, 0), last);
    const low = Math.floor(where), high = Math.min(low + 1, last), part = where - low;
    if (log) return Math.exp((1 - part) * Math.log(table[low] || 1e-300) + part * Math.log(table[high] || 1e-300));
    return (1 - part) * table[low] + part * table[high];
  }

  // What the frames say of a sample: part 0 its margin, 1 its loss, 2 its prediction, 3 the confidence.
  value(part, sample, place) {
    const { values, size, samples, top } = this.marbles, last = this.data.epochs.length - 1;
    const at = (frame) => values[part * size + frame * samples + sample];
    if (part === 2) return at(Math.min(Math.round(place), last));
    const low = Math.min(Math.floor(place), last), high = Math.min(low + 1, last), rest = place - low;
    const mixed = ((1 - rest) * at(low) + rest * at(high)) / 32767;
    return mixed * [this.stage.charts.reach, top, 1, 1][part];
  }

  draw() {
    if (!this.marbles || !this.canvas.clientWidth) return;
    const { context, width, height } = context2d(this.canvas);
    Object.assign(this, { width, height, left: 40, right: 10, floor: height - 34, roof: height * 0.3 });
    this.ground(context);
    this.place = placeOf(this.data.epochs, this.stage.epoch);
    this.spots = this.piled();
    for (const spot of this.spots) this.marble(context, spot);
    if (this.own !== null && this.data.terrain) this.ownMarble(context);
    this.tell();
  }

  x(margin) {
    const reach = this.stage.charts.reach;
    return this.left + ((margin / reach + 1) / 2) * (this.width - this.left - this.right);
  }

  y(loss) {
    return this.floor - (Math.min(loss, this.top) / this.top) * (this.floor - this.roof);
  }

  ground(context) {
    const { terrain } = this.data, reach = this.stage.charts.reach;
    context.font = "11px system-ui, sans-serif";
    if (terrain) {
      this.fill(context, terrain.high, colour("ground"), -reach, reach);
      if (this.flatTo !== null) this.fill(context, terrain.high, colour("flat"), -reach, this.flatTo);
      for (const table of terrain.band ? [terrain.low, terrain.high] : [terrain.high]) this.ridge(context, table);
    }
    context.strokeStyle = context.fillStyle = colour("faint");
    context.lineWidth = 1;
    context.textAlign = "center";
    context.beginPath();
    context.setLineDash([3, 3]);
    context.moveTo(this.x(0), 8);
    context.lineTo(this.x(0), this.floor);
    context.stroke();
    context.setLineDash([]);
    for (const tick of ticks(-reach, reach, this.width > 420 ? 8 : 4)) context.fillText(tickText(tick), this.x(tick), this.floor + 14);
    context.fillText("margin: log-odds of the true class", this.x(0), this.floor + 29);
    context.textAlign = "right";
    for (const tick of ticks(0, this.top, 3)) context.fillText(tickText(tick), this.left - 5, this.y(tick) + 4);
    // With more than two classes a sample may be right though its class has less than half: its colour says so.
    const [below, above] = this.stage.charts.classes.length === 2 ? ["wrong", "right"] : ["unlikely", "likely"];
    context.fillText(`← ${below}`, this.x(0) - 7, 16);
    context.textAlign = "left";
    context.fillText(`${above} →`, this.x(0) + 7, 16);
    context.fillText("loss", 4, 16);
    const edges = ["upper line: the rest on one class", "lower line: the rest shared evenly"];
    if (terrain && terrain.band && context.measureText(edges[1]).width < this.width - this.right - this.x(0) - 12) {
      context.textAlign = "right";
      edges.forEach((edge, line) => context.fillText(edge, this.width - this.right, 36 + 14 * line));
      context.textAlign = "left";
    }
    if (this.flatTo !== null && this.x(this.flatTo) - this.left > 120) {
      context.fillStyle = colour("onflat");
      context.fillText("plateau: large loss,", this.left + 8, this.y(0) - 24);
      context.fillText("almost no pull", this.left + 8, this.y(0) - 10);
    }
  }

  fill(context, table, style, from, to) {
    context.fillStyle = style;
    context.beginPath();
    context.moveTo(this.x(from), this.floor);
    for (let step = 0; step <= 120; step += 1) {
      const margin = from + ((to - from) * step) / 120;
      context.lineTo(this.x(margin), this.y(this.at(table, margin)));
    }
    context.lineTo(this.x(to), this.floor);
    context.fill();
  }

  ridge(context, table) {
    context.strokeStyle = colour("faint");
    context.lineWidth = 1.5;
    context.beginPath();
    table.forEach((height, place) => context.lineTo(this.x(this.marginAt(place)), this.y(height)));
    context.stroke();
  }

  piled() {
    const columns = new Map(), spots = [];
    for (let sample = 0; sample < this.marbles.samples; sample += 1) {
      const margin = this.value(0, sample, this.place), x = this.x(margin);
      const column = Math.round(x / (2 * RADIUS));
      if (!columns.has(column)) columns.set(column, []);
      const wrong = this.value(2, sample, this.place) !== this.stage.charts.scene.targets[sample];
      const stuck = wrong && this.flatTo !== null && margin < this.flatTo;
      columns.get(column).push({ sample, margin, wrong, stuck, x, y: this.y(this.value(1, sample, this.place)) - RADIUS });
    }
    for (const pile of columns.values()) {
      const base = Math.min(...pile.map((spot) => spot.y));
      const step = Math.min(1.6 * RADIUS, Math.max(base - 26, 8) / pile.length);
      pile.forEach((spot, level) => spots.push({ ...spot, y: Math.max(spot.y - step * level, 22) }));
    }
    return spots;
  }

  marble(context, { sample, wrong, stuck, x, y }) {
    context.beginPath();
    context.arc(x, y, sample === this.near ? RADIUS + 3 : RADIUS, 0, 2 * Math.PI);
    context.globalAlpha = wrong ? 0.95 : 0.55;
    context.fillStyle = stuck ? colour("stuck") : colour(`arm${this.arm.mark}`);
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = sample === this.near ? 2 : 0.8;
    context.strokeStyle = sample === this.near ? colour("ink") : colour("paper");
    context.stroke();
  }

  ownMarble(context) {
    const x = this.x(this.own), y = this.y(this.at(this.data.terrain.high, this.own)) - 9;
    context.beginPath();
    context.arc(x, y, 9, 0, 2 * Math.PI);
    context.fillStyle = colour("paper");
    context.fill();
    context.lineWidth = 4;
    context.strokeStyle = colour("ink");
    context.stroke();
  }

  tell() {
    const wrong = this.spots.filter((spot) => spot.wrong).length, stuck = this.spots.filter((spot) => spot.stuck).length;
    const flat = this.flatTo === null ? "" : `, ${stuck} on the plateau`;
    this.said.textContent = `Epoch ${Math.round(this.stage.epoch)}, seed ${this.stage.charts.seed}: ${wrong} of ${this.spots.length} training samples wrong${wrong ? flat : ""}.`;
    this.canvas.setAttribute("aria-label", `Marbles of ${this.name} on the terrain of its loss. ${this.said.textContent} Arrow keys go from sample to sample.`);
  }

  isOwn(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.own !== null && Math.abs(event.clientX - box.left - this.x(this.own)) < 18;
  }

  hover(event) {
    const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    if (this.dragged) {
      const share = (x - this.left) / (this.width - this.left - this.right);
      this.stage.own.place(this.stage.charts.reach * (2 * Math.min(Math.max(share, 0), 1) - 1));
      return;
    }
    let best = null, least = 14;
    for (const spot of this.spots || []) {
      const distance = Math.hypot(spot.x - x, spot.y - y);
      if (distance < least) [best, least] = [spot, distance];
    }
    this.canvas.classList.toggle("own", this.isOwn(event));
    this.point(best);
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.spots) return;
    event.preventDefault();
    const ordered = [...this.spots].sort((a, b) => a.margin - b.margin);
    const at = ordered.findIndex((spot) => spot.sample === this.near);
    this.point(ordered[at < 0 ? 0 : Math.min(Math.max(at + step, 0), ordered.length - 1)]);
  }

  point(spot) {
    const sample = spot ? spot.sample : null;
    if (sample === this.near) return;
    for (const terrain of this.stage.terrains) {
      terrain.near = sample;
      terrain.draw();
    }
    this.tip.hidden = sample === null;
    if (sample === null) return;
    this.tip.replaceChildren(...this.stage.sampleOf(sample), make("div", {}, ...this.about(sample)));
    const from = Math.min(Math.max(spot.x - 60, 4), this.width - 200);
    this.tip.style.left = `${from}px`;
    this.tip.style.top = `${this.canvas.offsetTop + (spot.y > 130 ? spot.y - 120 : spot.y + 14)}px`;
  }

  about(sample) {
    const { charts } = this.stage, target = charts.scene.targets[sample], predicted = this.value(2, sample, this.place);
    const named = (place) => charts.classes[place] ?? String(place);
    const confidence = this.value(3, sample, this.place), margin = this.value(0, sample, this.place);
    const sure = confidence < 0 ? "" : ` (${(100 * confidence).toFixed(0)}%)`;
    const pull = this.data.terrain ? `, pull ${number(this.at(this.data.terrain.pull, margin, true))}` : "";
    return [
      make("div", {}, `sample ${charts.scene.samples[sample]}: ${named(target)}`),
      make("div", {}, `predicted ${named(predicted)}${sure}`),
      make("div", {}, `loss ${number(this.value(1, sample, this.place))}, margin ${number(margin)}${pull}`),
    ];
  }
}
