// What the networks make of the samples: decision surfaces in the plane, and images that one arm gets right and the
// other wrong.
const SHADES = ["arm0", "arm1", "arm2", "arm3", "arm5", "arm6", "arm7", "arm4"];

async function drawSurface(canvas, stage, name) {
  const seen = stage.charts.seen[name], { blob, shape } = seen.surface;
  const values = new Uint8Array(await picture(blob)), [frames, rows, columns] = shape;
  const frame = Math.min(Math.round(placeOf(seen.epochs, stage.epoch)), frames - 1);
  const levels = Math.max(1, Math.floor(256 / stage.charts.classes.length));
  const paper = rgb(colour("paper")), inks = SHADES.map((ink) => rgb(colour(ink)));
  const image = new ImageData(columns, rows);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const shade = values[frame * rows * columns + row * columns + column];
      const ink = inks[Math.floor(shade / levels) % inks.length], sure = 0.08 + (0.62 * (shade % levels)) / Math.max(levels - 1, 1);
      const at = 4 * ((rows - 1 - row) * columns + column);
      for (let part = 0; part < 3; part += 1) image.data[at + part] = paper[part] + sure * (ink[part] - paper[part]);
      image.data[at + 3] = 255;
    }
  }
  const small = new OffscreenCanvas(columns, rows);
  small.getContext("2d").putImageData(image, 0, 0);
  const { context, width, height } = context2d(canvas);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, width, height);
  points(context, stage, width, height, inks);
  const wrong = await wrongOf(stage, name);
  canvas.setAttribute("aria-label", `Decision surface of ${name} at epoch ${seen.epochs[frame]}${wrong === null ? "" : `, ${wrong} samples wrong`}`);
}

async function wrongOf(stage, name) {
  const right = await rightOf(stage, name);
  return right === null ? null : right.filter((each) => !each).length;
}

function points(context, stage, width, height, inks) {
  const { axes, features, targets } = stage.charts.scene;
  features.forEach(([a, b], sample) => {
    const x = ((a - axes[0][0]) / (axes[0][1] - axes[0][0])) * width;
    const y = (1 - (b - axes[1][0]) / (axes[1][1] - axes[1][0])) * height;
    context.beginPath();
    context.arc(x, y, 2.6, 0, 2 * Math.PI);
    context.fillStyle = `rgb(${inks[targets[sample] % inks.length].join(",")})`;
    context.fill();
    context.strokeStyle = colour("paper");
    context.lineWidth = 0.8;
    context.stroke();
  });
}

function rgb(text) {
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

// Whether the arm is right about each sample at the current epoch; null where it makes no predictions of classes.
async function rightOf(stage, name) {
  const seen = stage.charts.seen[name];
  if (!seen.marbles) return null;
  const { blob, shape } = seen.marbles, values = new Int16Array(await picture(blob));
  const size = shape[1] * shape[2], frame = Math.min(Math.round(placeOf(seen.epochs, stage.epoch)), shape[1] - 1);
  return stage.charts.scene.targets.map((target, sample) => values[2 * size + frame * shape[2] + sample] === target);
}

async function imageOf(stage, sample) {
  const { blob, shape } = stage.charts.scene.images, [, channels, height, width] = shape;
  const values = new Uint8Array(await picture(blob)), size = height * width, at = sample * channels * size;
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < size; pixel += 1) {
    for (let part = 0; part < 3; part += 1) {
      image.data[4 * pixel + part] = values[at + (channels >= 3 ? part : 0) * size + pixel];
    }
    image.data[4 * pixel + 3] = 255;
  }
  return image;
}

function thumbnail(stage, sample) {
  const canvas = make("canvas", { width: 1, height: 1, "aria-hidden": "true" });
  imageOf(stage, sample).then((image) => {
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").putImageData(image, 0, 0);
  });
  return canvas;
}

// Images that the first watched arm gets right and the second wrong, and the reverse.
async function drawGallery(host, stage) {
  const [a, b] = stage.terrains.map((terrain) => terrain.name);
  const [first, second] = [await rightOf(stage, a), await rightOf(stage, b)];
  if (!first || !second) return;
  const parts = [[a, b, first, second], [b, a, second, first]].flatMap(([good, bad, right, wrong]) => {
    const found = right.map((is, sample) => (is && !wrong[sample] ? sample : -1)).filter((sample) => sample >= 0);
    const images = found.slice(0, 16).map((sample) => make("figure", {}, thumbnail(stage, sample), make("figcaption", {}, stage.charts.classes[stage.charts.scene.targets[sample]] ?? "")));
    return [make("h4", {}, `${good} right, ${bad} wrong: ${found.length} of ${right.length}`), make("div", { class: "gallery" }, ...images)];
  });
  host.replaceChildren(...parts);
}
