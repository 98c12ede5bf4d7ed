// Two screenshots of the same size, compared pixel by pixel.

/** A channel may differ by so much: smoothed edges are drawn again, not copied. */
const TOLERANCE = 8;

/**
 * Counts the pixels that are not background in one or the other, and those among them that differ. Background is the
 * colour that most pixels of the first have. `boxes` ([left, top, width, height]) are left out.
 */
window.compared = async (one, other, boxes) => {
  const [first, second] = await Promise.all([one, other].map(pixels));
  if (first.width !== second.width || first.height !== second.height) throw new Error("not the same size");
  const ground = mostOf(first.data);
  const left = excluded(first.width, first.height, boxes);
  let [differ, drawn] = [0, 0];
  for (let i = 0; i < left.length; i++) {
    const isDrawn = !same(first.data, i * 4, ground, 0) || !same(second.data, i * 4, ground, 0);
    if (left[i] || !isDrawn) continue;
    drawn++;
    if (!same(first.data, i * 4, second.data, i * 4)) differ++;
  }
  return [differ, drawn];
};

async function pixels(base64) {
  const image = new Image();
  image.src = `data:image/png;base64,${base64}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
}

function mostOf(data) {
  const counts = new Map();
  const words = new Uint32Array(data.buffer);
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const [most] = [...counts].sort((a, b) => b[1] - a[1])[0];
  return new Uint8Array(new Uint32Array([most]).buffer);
}

function excluded(width, height, boxes) {
  const mask = new Uint8Array(width * height);
  for (const [x, y, w, h] of boxes) {
    for (let row = Math.max(Math.floor(y), 0); row < Math.min(Math.ceil(y + h), height); row++) {
      mask.fill(1, row * width + Math.max(Math.floor(x), 0), row * width + Math.min(Math.ceil(x + w), width));
    }
  }
  return mask;
}

function same(one, i, other, j) {
  for (let channel = 0; channel < 3; channel++) {
    if (Math.abs(one[i + channel] - other[j + channel]) > TOLERANCE) return false;
  }
  return true;
}
