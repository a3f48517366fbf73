// One stage for each comparison: terrains on a slider, then charts. It is built when it is first shown.
class Stage {
  constructor(host, charts) {
    Object.assign(this, { host, charts, hidden: new Set(), axis: "epoch", drawn: [], terrains: [], reliefs: [], forests: [], later: [], view: { around: 0.45, down: 0.5 } });
    this.epochs = this.allEpochs();
    this.epoch = this.epochs[this.epochs.length - 1];
    this.watched = Object.keys(charts.seen || {}).filter((name) => charts.seen[name].marbles);
    const controls = this.part("div", { class: "controls" });
    this.time(controls);
    const pair = this.host.insertBefore(make("div", { class: "pair terrains" }), this.host.firstChild);
    if (this.watched.length) pair.before(make("p", { class: "more" }, `Each marble is a training sample: the ground under it is its loss; further right its true class is likelier. Marbles that would overlap are piled up. On a slope one rolls down to the right, where it is classified correctly; on a plateau (orange, its marbles red) almost nothing pulls it.${this.watched.length > 1 ? " Look at the slopes: the scales differ." : ""}`));
    for (const side of this.watched.length > 1 ? ["left", "right"] : this.watched.slice(0, 1)) {
      this.terrains.push(new Terrain(pair, this, side));
    }
    if (this.watched.some((name) => charts.seen[name].terrain)) this.own = new OwnMarble(controls, this);
    this.curves();
    this.tuning();
    this.verdicts();
    this.why();
    this.relief();
    this.replay();
    this.classes();
    this.choose();
    this.moveTo(this.epoch);
  }

  part(tag, attributes = {}) {
    const element = make(tag, attributes);
    this.host.append(element);
    return element;
  }

  allEpochs() {
    const seen = Object.values(this.charts.seen || {}).flatMap((arm) => arm.epochs);
    const found = seen.length ? seen : this.charts.arms.flatMap((arm) => arm.epochs);
    return [...new Set(found)].sort((a, b) => a - b);
  }

  time(host) {
    const most = this.epochs.length - 1;
    this.slider = make("input", { type: "range", min: 0, max: most, step: 1, value: most, "aria-label": "epoch", oninput: () => { this.pause(); this.moveTo(this.epochs[Number(this.slider.value)]); } });
    this.clock = make("output", {}, "");
    this.button = make("button", { type: "button", class: "play", onclick: () => (this.playing ? this.pause() : this.play()) }, "▶ Play");
    host.append(make("div", { class: "row time" }, this.button, this.slider, this.clock));
  }

  play() {
    let place = Number(this.slider.value) >= this.epochs.length - 1 ? 0 : Number(this.slider.value), before = null;
    this.button.textContent = "❚❚ Pause";
    const frame = (now) => {
      const speed = CALM.matches ? 1 : Math.max(this.epochs.length / 9, 2);
      place = Math.min(place + (before === null ? 0 : ((now - before) / 1000) * speed), this.epochs.length - 1);
      before = now;
      const low = Math.floor(place), high = Math.min(low + 1, this.epochs.length - 1), part = CALM.matches ? 0 : place - low;
      this.moveTo((1 - part) * this.epochs[low] + part * this.epochs[high], place);
      if (place >= this.epochs.length - 1) this.pause();
      else this.playing = requestAnimationFrame(frame);
    };
    this.playing = requestAnimationFrame(frame);
  }

  pause() {
    cancelAnimationFrame(this.playing);
    this.playing = null;
    this.button.textContent = "▶ Play";
  }

  moveTo(epoch, place = placeOf(this.epochs, epoch)) {
    this.epoch = epoch;
    this.slider.value = Math.round(place);
    this.slider.setAttribute("aria-valuetext", `epoch ${Math.round(epoch)}`);
    this.clock.textContent = `epoch ${Math.round(epoch)} of ${this.charts.last}`;
    for (const terrain of this.terrains) terrain.draw();
    for (const chart of this.drawn) chart.moveRule();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.later.forEach((draw) => draw()), this.playing ? 0 : 30);
  }

  // The arm that ends best against the worst one of another loss, if possible of those with a terrain.
  choose() {
    const { arms, headline } = this.charts;
    const ends = (name) => lastOf((arms.find((arm) => arm.name === name)?.lines[headline] || [[]])[0]) ?? 0;
    const grounded = this.watched.filter((name) => this.charts.seen[name].terrain);
    const ordered = [...(grounded.length > 1 ? grounded : this.watched)].sort((a, b) => ends(a) - ends(b));
    const best = ordered[ordered.length - 1], loss = (name) => this.charts.seen[name].loss;
    const worst = ordered.find((name) => loss(name) !== loss(best)) ?? ordered[0];
    const shownFirst = [worst, best].slice(0, this.terrains.length);
    shownFirst.sort((a, b) => this.watched.indexOf(a) - this.watched.indexOf(b));
    this.terrains.forEach((terrain, place) => {
      for (const name of this.watched) terrain.choice.append(make("option", { value: name }, name));
      terrain.show(shownFirst[place]);
    });
  }

  sampleOf(sample) {
    const { images, features } = this.charts.scene;
    if (images) return [thumbnail(this, sample)];
    return features[sample].length <= 2 ? [] : [make("div", {}, features[sample].slice(0, 4).map(number).join(", "))];
  }

  along(arm, epoch) {
    const found = { epoch: arm.epochs, step: arm.steps, seconds: arm.seconds }[this.axis];
    if (this.axis === "epoch") return epoch;
    const place = placeOf(arm.epochs, epoch), low = Math.floor(place), high = Math.min(low + 1, found.length - 1);
    return (1 - place + low) * (found[low] ?? 0) + (place - low) * (found[high] ?? 0);
  }

  lines(field, arms = this.charts.arms) {
    const visible = arms.filter((arm) => !this.hidden.has(arm.name) && arm.lines[field]);
    return visible.map((arm) => {
      const [y, low, high] = arm.lines[field];
      return { mark: arm.mark, name: arm.name, x: arm.epochs.map((epoch) => this.along(arm, epoch)), y, low: this.charts.seeds ? low : null, high };
    });
  }

  framed(name) {
    const found = [];
    for (const arm of this.charts.arms) {
      const seen = (this.charts.seen || {})[arm.name];
      if (!seen || this.hidden.has(arm.name)) continue;
      const x = seen.epochs.map((epoch) => this.along(arm, epoch));
      if (name === "gradients") {
        const [low, y, high] = seen.gradients;
        found.push({ mark: arm.mark, name: arm.name, x, y, low, high });
      } else if (seen[name]) found.push({ mark: arm.mark, name: arm.name, x, y: seen[name] });
    }
    return found;
  }

  chart(host, title, lines, more = {}) {
    const spec = () => {
      const found = lines();
      const rule = () => (this.charts.arms.length ? this.along(this.charts.arms[0], this.epoch) : null);
      const ends = this.charts.arms.map((arm) => this.along(arm, this.charts.last));
      return { title, lines: found, x: this.axis, rule, xRange: [0, Math.max(...ends, 1e-9)], ...more };
    };
    const chart = new Chart(host, this, spec);
    this.drawn.push(chart);
    return chart;
  }

  curves() {
    const { metrics, curves, own, arms, level, headline } = this.charts;
    const first = this.part("div", { class: "headline" });
    first.append(this.toggles());
    const main = metrics[headline];
    this.chart(first, titled(main, this.charts.seeds), () => this.lines(headline), { ...main, level, height: 160 });
    const grid = this.section("Curves", "Lines are means over seeds, bands go from minimum to maximum.");
    for (const field of curves.slice(1)) this.chart(grid, titled(metrics[field], this.charts.seeds), () => this.lines(field), metrics[field]);
    for (const arm of arms.filter((each) => each.lines[own])) {
      const title = `${metrics[own].label}: ${arm.name}, on its own scale`;
      this.chart(grid, title, () => this.lines(own, [arm]));
    }
  }

  toggles() {
    const axes = ["epoch", "step", "seconds"].map((axis) => make("button", { type: "button", "aria-pressed": axis === this.axis, class: axis === this.axis ? "on axis" : "axis", onclick: (event) => this.turn(axis, event.target) }, `by ${axis === "seconds" ? "second" : axis}`));
    const arms = this.charts.arms.map((arm) => make("button", { type: "button", "aria-pressed": true, class: `toggle arm arm-${arm.mark}`, onclick: (event) => this.hide(arm.name, event.currentTarget) }, arm.name));
    return make("div", { class: "row", role: "group", "aria-label": "horizontal axis, and arms to show" }, ...axes, ...(arms.length > 1 ? arms : []));
  }

  turn(axis, button) {
    this.axis = axis;
    for (const each of button.parentElement.querySelectorAll(".axis")) {
      each.setAttribute("aria-pressed", String(each === button));
      each.classList.toggle("on", each === button);
    }
    for (const chart of this.drawn) chart.draw();
  }

  hide(name, button) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    button.setAttribute("aria-pressed", String(!this.hidden.has(name)));
    for (const chart of this.drawn) chart.draw();
  }

  section(title, note = "") {
    this.host.append(make("h3", {}, title));
    if (note) this.part("p", { class: "note" }).textContent = note;
    return this.part("div", { class: "grid" });
  }

  tuning() {
    const { tuning } = this.charts;
    if (!tuning.length) return;
    const grid = this.section("Tuning", "Over tuning's own seeds, on validation data; the table below has every value.");
    for (const { lines, ...spec } of tuning) {
      this.drawn.push(new Chart(grid, this, () => ({ ...spec, x: spec.key, lines: lines.filter((line) => !this.hidden.has(line.name)) })));
    }
  }

  verdicts() {
    if (!this.charts.verdicts.length) return;
    const grid = this.section("Verdicts", "Differences paired by seed, with intervals that carry the correction; the shaded strip is negligible.");
    for (const spec of this.charts.verdicts) this.forests.push(new Forest(grid, spec));
  }

  // Of those losses whose height is a function of the margin.
  relief() {
    if (!this.watched.some((name) => this.charts.seen[name].terrain)) return;
    const grid = this.section("The terrain in three dimensions", "Over the logit of the true class and that of one other, the rest far below. Drag to turn, or use the arrow keys; the marbles are those above.");
    grid.className = "pair";
    for (const terrain of this.terrains) this.reliefs.push(new Relief(grid, this, terrain));
    this.later.push(() => this.reliefs.forEach((relief) => relief.draw()));
  }

  why() {
    const { metrics, headline, stuck } = this.charts, seed = this.charts.seed;
    const panels = [
      ["gradient on the logits: median, 10% to 90% of samples", () => this.framed("gradients"), { log: true }, "gradients"],
      ["stuck: wrong, with a gradient under 1% of that at zero logits", () => this.lines(stuck), { share: true }, ""],
      ["confidently wrong: wrong, with a probability of at least 0.9", () => this.framed("wrong"), { share: true }, "confidence"],
      ["norm of all weights", () => this.framed("weights"), {}, "weights"],
    ].filter(([, lines]) => lines().some((line) => line.y.some((value) => value)));
    if (!panels.length) return;
    const over = this.terrains.length ? "the samples that are marbles above" : "some of the samples";
    const ofOne = panels.map(([, , , word]) => word).filter(Boolean).join(", ").replace(/, (?=\w+$)/, " and ");
    const note = seed === undefined || !ofOne ? "" : `Of seed ${seed}, over ${over}: ${ofOne}.`;
    const grid = this.section("Why", note);
    this.chart(grid, titled(metrics[headline], this.charts.seeds), () => this.lines(headline), metrics[headline]);
    for (const [title, lines, more] of panels) this.chart(grid, title, lines, more);
  }

  replay() {
    const seen = this.charts.seen || {}, planes = Object.keys(seen).filter((name) => seen[name].surface);
    if (planes.length && this.charts.scene.axes) {
      const grid = this.section("Replay", `The decision surface of seed ${this.charts.seed}, with training samples; paler is less certain.`);
      grid.before(this.second());
      for (const name of planes) this.surface(grid, name);
    } else if (this.charts.scene && this.charts.scene.images && this.terrains.length > 1) {
      const grid = this.section("Right here, wrong there", `Training samples at the epoch of the slider, seed ${this.charts.seed}.`);
      grid.before(this.second());
      const host = make("div");
      grid.replaceWith(host);
      this.later.push(() => drawGallery(host, this));
    }
  }

  surface(grid, name) {
    const arm = this.charts.arms.find((each) => each.name === name) || { mark: 4 };
    const canvas = make("canvas", { role: "img", "aria-label": `Decision surface of ${name}` });
    grid.append(make("figure", { class: "surface" }, make("figcaption", {}, make("span", { class: `arm arm-${arm.mark}` }, name)), canvas));
    this.later.push(() => drawSurface(canvas, this, name));
  }

  // The same slider again, where the pictures are.
  second() {
    const slider = make("input", { type: "range", min: 0, max: this.epochs.length - 1, step: 1, "aria-label": "epoch of the replay", oninput: () => { this.pause(); this.moveTo(this.epochs[Number(slider.value)]); } });
    const clock = make("output", {}, "");
    this.later.push(() => {
      slider.value = this.slider.value;
      clock.textContent = this.clock.textContent;
    });
    return make("div", { class: "row" }, slider, clock);
  }

  classes() {
    const reliable = this.charts.arms.filter((arm) => arm.reliability), counted_ = this.charts.arms.filter((arm) => arm.confusion);
    if (reliable.length) {
      const grid = this.section("Reliability", "Accuracy against mean confidence by bin, test samples of all seeds; on the diagonal both are equal.");
      for (const arm of reliable) new Chart(grid, this, reliability(arm));
    }
    if (counted_.length) {
      const grid = this.section("Confusion", "Test samples of all seeds: true class by row, prediction by column.");
      grid.classList.add("matrices");
      for (const arm of counted_) grid.append(confusion(arm));
    }
  }
}

function titled(metric, seeds) {
  return seeds ? `${metric.label}, mean over ${seeds}` : metric.label;
}

function reliability(arm) {
  const { count, confidence, accuracy } = arm.reliability, filled = count.map((each, bin) => (each ? bin : -1)).filter((bin) => bin >= 0);
  const line = { mark: arm.mark, name: arm.name, x: filled.map((bin) => confidence[bin]), y: filled.map((bin) => accuracy[bin]) };
  const equal = { mark: "none level", name: "equal", x: [0, 1], y: [0, 1] };
  return { title: arm.name, lines: [line, equal], x: "confidence", xRange: [0, 1], yRange: [0, 1.03], share: true };
}

function confusion(arm) {
  const { names, counts } = arm.confusion, table = make("table", { class: "heat" });
  table.append(make("caption", {}, make("span", { class: `arm arm-${arm.mark}` }, arm.name)));
  table.append(make("tr", {}, make("td", {}, ""), ...names.map((name) => make("th", { scope: "col" }, name))));
  counts.forEach((row, place) => {
    const total = row.reduce((sum, each) => sum + each, 0) || 1;
    const cells = row.map((each, other) => {
      const level = each ? Math.min(3, 1 + Math.floor((2.99 * each) / total)) : 0;
      return make("td", { class: level ? `${place === other ? "h" : "w"}${level}` : null }, each.toLocaleString("en"));
    });
    table.append(make("tr", {}, make("th", { scope: "row" }, names[place]), ...cells));
  });
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `confusion matrix of ${arm.name}` }, table);
}

const stages = new Map();

function stage(place) {
  if (!stages.has(place)) stages.set(place, new Stage(document.getElementById(`stage-${place}`), PAGE.comparisons[place]));
}

function showComparison(place) {
  document.querySelectorAll(".comparison").forEach((section, at) => { section.hidden = at !== place; });
  document.querySelectorAll(".choice").forEach((button, at) => button.setAttribute("aria-pressed", String(at === place)));
  stage(place);
}

function redraw() {
  for (const stage of stages.values()) {
    for (const part of [...stage.drawn, ...stage.forests, ...stage.terrains]) part.draw();
    stage.later.forEach((draw) => draw());
  }
}

document.querySelectorAll(".choice").forEach((button, place) => button.addEventListener("click", () => showComparison(place)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
const folded = [];

function unfold(element, open) {
  if (element.matches("details")) element.open = open;
  else element.hidden = !open;
}

addEventListener("beforeprint", () => {
  document.documentElement.classList.add("printing");
  for (const element of document.querySelectorAll(".comparison[hidden], details:not([open])")) {
    folded.push(element);
    unfold(element, true);
  }
  PAGE.comparisons.forEach((_, place) => stage(place)); // on paper all are shown
  redraw();
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("printing");
  for (const element of folded.splice(0)) unfold(element, false);
  redraw();
});
showComparison(PAGE.first);
// Printing waits for nothing: the pictures of what is not shown yet are opened before.
setTimeout(async () => {
  for (const blob of Object.keys(PAGE.pictures)) await picture(blob);
}, 1000);
