// A marble of the reader's own: two classes, plain gradient descent on the logits, the same start under every loss.
// The pull moves the true logit up and the other down, so a step moves the margin by twice the learning rate times it.
const HOME = Math.log(9); // the true class has a probability of 0.9
const PATIENCE = 600; // steps that are shown one by one; then they are counted ahead

class OwnMarble {
  constructor(host, stage) {
    this.stage = stage;
    const reach = stage.charts.reach, start = Math.max(-10, -Math.round(0.8 * reach));
    this.start = make("input", { type: "range", min: -reach, max: reach, step: 0.1, value: start, "aria-label": "start of your marble, as a margin", oninput: () => this.place(Number(this.start.value)) });
    this.where = make("output", {}, "");
    this.lr = make("input", { type: "number", min: 0.001, max: 1000, step: "any", value: 1, size: 5, "aria-label": "learning rate of your marble" });
    this.roll = make("button", { type: "button", onclick: () => (this.timer ? this.stop() : this.run()) }, "Roll");
    this.said = make("p", { class: "faint rolled", role: "status" });
    const row = make("div", { class: "row yours" }, make("strong", {}, "Your marble"), this.start, this.where, make("label", {}, "learning rate ", this.lr), this.roll);
    host.append(make("div", {}, row, this.said));
    this.place(start);
    this.said.textContent = "Drag it in either picture, or move it here, and let it roll.";
  }

  racers() {
    return this.stage.terrains.filter((terrain) => terrain.data && terrain.data.terrain);
  }

  place(margin) {
    this.stop();
    this.margin = margin;
    this.start.value = margin;
    this.where.textContent = `margin ${margin.toFixed(1)}`;
    this.said.textContent = "";
    for (const terrain of this.stage.terrains) {
      terrain.own = margin;
      terrain.draw();
    }
  }

  stop() {
    cancelAnimationFrame(this.timer);
    this.timer = null;
    this.roll.textContent = "Roll";
  }

  run() {
    const lr = Number(this.lr.value);
    if (!(lr > 0) || !Number.isFinite(lr)) {
      this.said.textContent = "The learning rate must be a positive number.";
      return;
    }
    for (const terrain of this.racers()) Object.assign(terrain, { own: this.margin, steps: 0, home: this.margin >= HOME });
    this.roll.textContent = "Stop";
    if (CALM.matches) {
      for (let step = 0; step < PATIENCE; step += 1) this.step(lr);
      this.finish(lr);
      return;
    }
    const frame = () => {
      this.step(lr);
      const racing = this.racers().filter((terrain) => !terrain.home);
      if (!racing.length || racing[0].steps >= PATIENCE) {
        this.finish(lr);
        return;
      }
      this.tell(lr, false);
      this.timer = requestAnimationFrame(frame);
    };
    this.timer = requestAnimationFrame(frame);
  }

  step(lr) {
    for (const terrain of this.racers()) {
      if (terrain.home) continue;
      terrain.own += 2 * lr * terrain.at(terrain.data.terrain.pull, terrain.own, true);
      terrain.steps += 1;
      terrain.home = terrain.own >= HOME;
      terrain.draw();
    }
  }

  finish(lr) {
    this.stop();
    for (const terrain of this.racers()) terrain.draw();
    this.tell(lr, true);
  }

  tell(lr, over) {
    const said = this.racers().map((terrain) => {
      const steps = counted(terrain.steps, "step");
      if (terrain.home) return `${terrain.name} brings it home (p = 0.9) in ${steps}`;
      const moved = `${terrain.name} after ${steps}: margin ${terrain.own.toFixed(4)}`;
      return over ? `${moved}; it needs about ${this.ahead(terrain, lr)} more` : moved;
    });
    this.said.textContent = `${said.join(". ")}.`;
  }

  // The steps that are left, by the time that a continuous flow of this speed takes.
  ahead(terrain, lr) {
    let total = 0;
    const pieces = 4000, width = (HOME - terrain.own) / pieces;
    for (let piece = 0; piece < pieces; piece += 1) {
      total += width / (2 * lr * terrain.at(terrain.data.terrain.pull, terrain.own + (piece + 0.5) * width, true));
    }
    return total < 1e6 ? Math.ceil(total).toLocaleString("en") : total.toExponential(1).replace("e+", " × 10^");
  }
}
