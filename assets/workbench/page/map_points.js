// The points of the map as typed arrays, ordered by cells of the plane: what is near a place, or in the window, is then
// found without looking at the rest.

const CELL_BITS = 7;
const MAP_CELLS = 65_536 >> CELL_BITS;

class MapPoints {
  /** `x` and `y` as the server has them: uint16 by row, y upwards. */
  constructor(x, y) {
    const cells = new Uint32Array(x.length);
    this.count = x.length;
    this.start = new Uint32Array(MAP_CELLS * MAP_CELLS + 1);
    for (let row = 0; row < x.length; row += 1) {
      cells[row] = ((65_535 - y[row]) >> CELL_BITS) * MAP_CELLS + (x[row] >> CELL_BITS);
      this.start[cells[row] + 1] += 1;
    }
    for (let cell = 0; cell < MAP_CELLS * MAP_CELLS; cell += 1) this.start[cell + 1] += this.start[cell];
    const next = this.start.slice();
    // By place in the order of cells: the row, and the position, y downwards as on a screen.
    this.row = new Uint32Array(x.length);
    this.x = new Uint16Array(x.length);
    this.y = new Uint16Array(x.length);
    this.place = new Uint32Array(x.length);
    for (let row = 0; row < x.length; row += 1) {
      const place = (next[cells[row]] += 1) - 1;
      this.row[place] = row;
      this.place[row] = place;
      this.x[place] = x[row];
      this.y[place] = 65_535 - y[row];
    }
    this.group = new Uint16Array(x.length);
    this.box = this.bounds(null);
  }

  /** Whose group each row is in. */
  setGroups(groups) {
    for (let place = 0; place < this.count; place += 1) this.group[place] = groups[this.row[place]];
  }

  /** The corners of all points, or of those of some groups: left, top, right, bottom. */
  bounds(only) {
    let [left, top, right, bottom] = [65_535, 65_535, 0, 0];
    for (let place = 0; place < this.count; place += 1) {
      if (only && !only.has(this.group[place])) continue;
      left = Math.min(left, this.x[place]);
      right = Math.max(right, this.x[place]);
      top = Math.min(top, this.y[place]);
      bottom = Math.max(bottom, this.y[place]);
    }
    return left > right ? [0, 0, 65_535, 65_535] : [left, top, right, bottom];
  }

  /** Runs of places, [first, end] one after the other, that hold all points of a window; and how many they hold. */
  inside(left, top, right, bottom) {
    const cell = (value) => Math.min(Math.max(value >> CELL_BITS, 0), MAP_CELLS - 1);
    const runs = [];
    let many = 0;
    if (right < 0 || bottom < 0 || left > 65_535 || top > 65_535) return { runs, many };
    for (let line = cell(top); line <= cell(bottom); line += 1) {
      const [first, end] = [this.start[line * MAP_CELLS + cell(left)], this.start[line * MAP_CELLS + cell(right) + 1]];
      if (first === end) continue;
      many += end - first;
      runs.push(first, end);
    }
    return { runs, many };
  }

  /** The place of the point that is nearest, no farther than `reach`; -1 if there is none. */
  nearest(x, y, reach, only) {
    let [found, best] = [-1, reach * reach];
    const { runs } = this.inside(x - reach, y - reach, x + reach, y + reach);
    for (let run = 0; run < runs.length; run += 2) {
      for (let place = runs[run]; place < runs[run + 1]; place += 1) {
        if (only?.size && !only.has(this.group[place])) continue;
        const distance = (this.x[place] - x) ** 2 + (this.y[place] - y) ** 2;
        if (distance <= best) [found, best] = [place, distance];
      }
    }
    return found;
  }
}
