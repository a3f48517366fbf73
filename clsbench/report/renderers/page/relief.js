// The terrain of a loss in three dimensions, turned by mouse and keyboard: its height over the logits of the true class
// and of one other, all others far below. The height is that of the margin, the difference of the two; the marbles lie
// where the two logits are opposite.
const SIDES = 30; // squares in each direction
const WIDEST = 10; // the largest logit, where the terrain is known so far

class Relief {
  constructor(host, stage, terrain) {
    Object.assign(this, { stage, terrain, span: Math.min(WIDEST, stage.charts.reach / 2) });
    this.canvas = make("canvas", { role: "img", tabindex: 0 });
    this.caption = make("figcaption", {}, "");
    host.append(make("figure", { class: "relief" }, this.caption, this.canvas));
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.held = [event.clientX, event.clientY];
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.held) return;
      const [x, y] = this.held;
      this.held = [event.clientX, event.clientY];
      this.turn((event.clientX - x) / 120, (event.clientY - y) / 120);
    });
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => { this.held = null; });
    this.canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
      if (!by) return;
      event.preventDefault();
      this.turn(...by);
    });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  // Both pictures turn together, so that they stay comparable.
  turn(around, down) {
    const view = this.stage.view;
    view.around += around;
    view.down = Math.min(Math.max(view.down + down, 0.1), 1.5);
    for (const relief of this.stage.reliefs) relief.draw();
  }

  // Logits and a height as a share of the highest, to a place on the canvas and its distance from the eye.
  project(y0, y1, share) {
    const { around, down } = this.stage.view, x = y0 / this.span, y = y1 / this.span;
    const east = x * Math.cos(around) - y * Math.sin(around), north = x * Math.sin(around) + y * Math.cos(around);
    const scale = Math.min(this.width / 3, this.height / 2.8), rise = 1.1 * Math.cos(down);
    const up = rise * (share - 0.5) + north * Math.sin(down);
    return [this.width / 2 + scale * east, this.height / 2 - scale * up, north * Math.cos(down) - share * Math.sin(down)];
  }

  draw() {
    const { data } = this.terrain;
    if (!data || !data.terrain || !this.canvas.clientWidth || !this.terrain.marbles) return;
    const { context, width, height } = context2d(this.canvas);
    Object.assign(this, { width, height });
    this.highest = Math.max(this.terrain.at(data.terrain.high, -2 * this.span), 1e-12);
    const items = [...this.squares(), ...this.marbles()];
    items.sort((a, b) => b.far - a.far);
    for (const item of items) item.draw(context);
    this.axes(context);
    const label = make("span", { class: `arm arm-${this.terrain.arm.mark}` }, this.terrain.name);
    this.caption.replaceChildren(label, make("small", {}, ` height 0 to ${number(this.highest)}`));
    this.canvas.setAttribute("aria-label", `The loss of ${this.terrain.name} over two logits, in three dimensions, seen from ${Math.round((180 * this.stage.view.around) / Math.PI)} degrees. Arrow keys turn it.`);
  }

  share(margin) {
    return this.terrain.at(this.terrain.data.terrain.high, margin) / this.highest;
  }

  squares() {
    const ground = rgb(colour("ground")), flat = rgb(colour("flat")), ink = rgb(colour("faint")), found = [];
    const { span } = this, step = (2 * span) / SIDES, flatTo = this.terrain.flatTo;
    for (let row = 0; row < SIDES; row += 1) {
      for (let column = 0; column < SIDES; column += 1) {
        const a = -span + step * column, b = -span + step * row, margin = a - b;
        const corners = [[a, b], [a + step, b], [a + step, b + step], [a, b + step]].map(([y0, y1]) => this.project(y0, y1, this.share(y0 - y1)));
        const base = flatTo !== null && margin < flatTo ? flat : ground, shade = 0.28 * (1 - this.share(margin));
        const fill = base.map((part, place) => Math.round(part + shade * (ink[place] - part)));
        found.push({ far: corners.reduce((sum, corner) => sum + corner[2], 0) / 4, draw: (context) => outline(context, corners, `rgb(${fill.join(",")})`) });
      }
    }
    return found;
  }

  marbles() {
    const { spots, arm } = this.terrain, { span } = this;
    return (spots || []).map(({ margin, wrong, stuck }) => {
      const m = Math.min(Math.max(margin, -2 * span), 2 * span), [x, y, far] = this.project(m / 2, -m / 2, this.share(m));
      const fill = stuck ? colour("stuck") : colour(`arm${arm.mark}`);
      return { far: far - 0.08, draw: (context) => dot(context, x, y - 3, fill, wrong) };
    });
  }

  axes(context) {
    context.fillStyle = colour("faint");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    const far = 1.18 * this.span, end = tickText(Number(this.span.toPrecision(2)));
    for (const [y0, y1, text] of [[far, 0, `true logit ${end}`], [-far, 0, `true logit −${end}`], [0, far, `other ${end}`], [0, -far, `other −${end}`]]) {
      const [x, y] = this.project(y0, y1, 0);
      context.fillText(text, Math.min(Math.max(x, 36), this.width - 36), Math.min(y + 4, this.height - 4));
    }
  }
}

function outline(context, corners, fill) {
  context.beginPath();
  for (const [x, y] of corners) context.lineTo(x, y);
  context.closePath();
  context.fillStyle = context.strokeStyle = fill;
  context.fill();
  context.lineWidth = 0.7;
  context.stroke();
  context.globalAlpha = 0.25;
  context.strokeStyle = colour("faint");
  context.stroke();
  context.globalAlpha = 1;
}

function dot(context, x, y, fill, wrong) {
  context.beginPath();
  context.arc(x, y, 3.5, 0, 2 * Math.PI);
  context.globalAlpha = wrong ? 0.95 : 0.6;
  context.fillStyle = fill;
  context.fill();
  context.globalAlpha = 1;
  context.strokeStyle = colour("paper");
  context.lineWidth = 0.7;
  context.stroke();
}
