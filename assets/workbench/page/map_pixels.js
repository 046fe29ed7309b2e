// Painting points: straight into the pixels of a canvas. Without a graphics card this takes a fraction of what WebGL
// takes, with one it is still fast enough, and there is one way to paint and none to fall back to.

/** More points than this in the window are painted as a density picture. */
const MOST_POINTS = 150_000;
/** Of a side of that picture. */
const DENSITY_SIDE = 1024;
const SMOOTH_POINTS = 20_000;

/** A CSS color such as #0072b2 as a pixel of a canvas. */
function pixelOf(color, alpha = 255) {
  const value = Number.parseInt(color.slice(1), 16);
  return ((alpha << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

/** The pixels of a disc, relative to its middle: whole ones, and those at its edge with how much of them it covers. */
function stampOf(radius, width, smooth) {
  const [whole, edge, cover] = [[], [], []];
  const far = Math.ceil(radius);
  for (let y = -far; y <= far; y += 1) {
    for (let x = -far; x <= far; x += 1) {
      const covered = radius + 0.5 - Math.hypot(x, y);
      if (covered >= (smooth ? 1 : 0.5)) whole.push(y * width + x);
      else if (smooth && covered > 0.05) {
        edge.push(y * width + x);
        cover.push(covered);
      }
    }
  }
  return { far, whole: Int32Array.from(whole), edge: Int32Array.from(edge), cover: Float32Array.from(cover) };
}

/** Pixels of a size that points are stamped on; used again from frame to frame. */
class Sheet {
  constructor(width, height) {
    [this.width, this.height] = [width, height];
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  clear() {
    this.pixels.fill(0);
  }

  /** Stamp the places of some runs; `view` turns positions into pixels, `colors` has a pixel for each group. */
  stamp(points, runs, view, stamp, colors) {
    const { x, y, group } = points;
    const { far } = stamp;
    const [right, bottom] = [this.width - far, this.height - far];
    for (let run = 0; run < runs.length; run += 2) {
      for (let place = runs[run]; place < runs[run + 1]; place += 1) {
        const px = (view.left + view.scale * x[place]) | 0;
        const py = (view.top + view.scale * y[place]) | 0;
        if (px >= far && py >= far && px < right && py < bottom) this.disc(py * this.width + px, stamp, colors[group[place]]);
      }
    }
  }

  /** The same for single places, all in one color where one is given. */
  stampPlaces(points, places, view, stamp, colors, color) {
    const { far } = stamp;
    for (const place of places) {
      const px = (view.left + view.scale * points.x[place]) | 0;
      const py = (view.top + view.scale * points.y[place]) | 0;
      if (px < far || py < far || px >= this.width - far || py >= this.height - far) continue;
      this.disc(py * this.width + px, stamp, color ?? colors[points.group[place]]);
    }
  }

  disc(middle, { whole, edge, cover }, color) {
    const { pixels } = this;
    for (let at = 0; at < whole.length; at += 1) pixels[middle + whole[at]] = color;
    for (let at = 0; at < edge.length; at += 1) pixels[middle + edge[at]] = mixed(pixels[middle + edge[at]], color, cover[at]);
  }
}

function mixed(under, over, share) {
  if (!under) return ((over & 0xffffff) | (Math.round((over >>> 24) * share) << 24)) >>> 0;
  let pixel = 0;
  for (let shift = 0; shift < 32; shift += 8) {
    const [from, to] = [(under >>> shift) & 255, (over >>> shift) & 255];
    pixel |= Math.round(from + (to - from) * share) << shift;
  }
  return pixel >>> 0;
}

/** A picture of all points of some groups: where there are many it is full, and its colors are those of their groups. */
function densityPicture(points, colors) {
  const [left, top, right, bottom] = points.box;
  const span = Math.max(right - left, bottom - top, 1) + 1;
  const side = DENSITY_SIDE;
  const sums = new Uint32Array(4 * side * side);
  for (let place = 0; place < points.count; place += 1) {
    const color = colors[points.group[place]];
    // Groups that stand back are not part of it.
    if (color >>> 24 < 128) continue;
    const at = 4 * ((((points.y[place] - top) * side) / span | 0) * side + (((points.x[place] - left) * side) / span | 0));
    sums[at] += color & 255;
    sums[at + 1] += (color >>> 8) & 255;
    sums[at + 2] += (color >>> 16) & 255;
    sums[at + 3] += 1;
  }
  const image = new ImageData(side, side);
  let filled = 0;
  for (let at = 3; at < sums.length; at += 4) filled += sums[at] > 0;
  // So many points in a pixel as are usual, times some, look full.
  const full = Math.log1p((4 * points.count) / Math.max(filled, 1));
  for (let at = 0; at < sums.length; at += 4) {
    const many = sums[at + 3];
    if (!many) continue;
    for (let channel = 0; channel < 3; channel += 1) image.data[at + channel] = sums[at + channel] / many;
    image.data[at + 3] = 255 * Math.min(1, 0.45 + (0.55 * Math.log1p(many)) / full);
  }
  const canvas = el("canvas", { width: side, height: side });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return { canvas, left, top, span };
}
