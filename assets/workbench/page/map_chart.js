// The map on the page: a canvas with a camera, a hand that pans, zooms, points and draws outlines, and names.

const FARTHEST_ZOOM = 400;
const REACH = { mouse: 12, touch: 24, pen: 16 };
const MOST_PIXELS = 3_000_000;
const MOST_CORNERS = 400;
const LONGEST_NAME = 28;
const NAME_HEIGHT = 22;
/** Around a name, so that points are seen between names. */
const NAME_GAP = { x: 14, y: 9 };

class MapChart {
  constructor() {
    this.points = null;
    this.groups = [];
    this.chosenPlaces = new Uint32Array(0);
    /** Groups that stand out, by their place in `groups`. */
    this.lit = new Set();
    this.fingers = new Map();
    this.names = new Map();
    this.outline = null;
    this.lassoing = false;
    this.hovered = -1;
    this.onHover = this.onOpen = this.onLasso = () => {};
    this.canvas = el("canvas", { tabindex: "0", role: "application", "aria-label": "Map of the store. Arrow keys move, plus and minus zoom, 0 shows all, Enter opens the image in the middle. The list beside it chooses whole groups." });
    this.tip = el("div", { class: "tip", hidden: true });
    const tool = (label, text, action) => el("button", { type: "button", class: "quiet", "aria-label": label, title: label, on: { click: action } }, text);
    this.lassoButton = el("button", { type: "button", class: "quiet lasso", "aria-pressed": "false", title: "Draw around images to choose them (or hold Shift)", on: { click: () => this.setLasso(!this.lassoing) } }, "Lasso");
    this.element = el(
      "div",
      { class: "map-stage" },
      this.canvas,
      this.tip,
      el("div", { class: "map-tools" }, this.lassoButton, tool("Zoom in", "+", () => this.zoom(1.6)), tool("Zoom out", "−", () => this.zoom(1 / 1.6)), tool("Show all", "Fit", () => this.fit())),
    );
    // Its pixels are written in every frame: they are kept where that is quick.
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.element);
    redrawOnTheme.add({ draw: () => this.recolor() });
  }

  setPoints(points) {
    this.points = points;
    this.chosenPlaces = new Uint32Array(0);
    this.density = null;
    this.hovered = -1;
    if (this.width) this.fit();
  }

  /** The groups in the order of their places: id, x, y, color, name and size. */
  setGroups(groups) {
    this.groups = groups;
    this.bySize = groups.map((_, place) => place).filter((place) => groups[place].x !== null).sort((a, b) => groups[b].size - groups[a].size);
    this.recolor();
  }

  setChosen(places) {
    this.chosenPlaces = places;
    this.draw();
  }

  setLasso(on) {
    this.lassoing = on;
    this.lassoButton.setAttribute("aria-pressed", String(on));
    this.canvas.style.setProperty("cursor", on ? "crosshair" : "grab");
  }

  /** Let some groups stand out; none: all are the same. */
  light(places) {
    this.lit = new Set(places);
    this.recolor();
  }

  recolor() {
    this.faded = true;
    this.draw();
  }

  /** Colors are known once the element is on the page. */
  readColors() {
    const style = getComputedStyle(this.canvas);
    [this.ink, this.paper, this.font] = [style.color, style.backgroundColor, `600 13px ${style.fontFamily}`];
    this.colors = new Uint32Array(65_536).fill(pixelOf("#8a8a8a", this.lit.size ? 40 : 255));
    this.groups.forEach((group, place) => (this.colors[place] = pixelOf(group.color, !this.lit.size || this.lit.has(place) ? 255 : 40)));
    this.density = null;
    this.names.clear();
    this.faded = false;
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom(Math.exp(-event.deltaY * 0.0016), event.offsetX, event.offsetY); }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    canvas.addEventListener("pointermove", (event) => this.pointerMoved(event));
    canvas.addEventListener("pointerup", (event) => this.released(event));
    canvas.addEventListener("pointercancel", (event) => { this.fingers.delete(event.pointerId); this.outline = null; this.draw(); });
    canvas.addEventListener("pointerleave", () => this.hover(-1));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  pressed(event) {
    if (event.button > 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, event);
    this.moved = 0;
    // A second finger zooms, whatever the first began.
    this.outline = this.fingers.size === 1 && (this.lassoing || event.shiftKey) ? [[event.offsetX, event.offsetY]] : null;
    if (this.outline) this.hover(-1);
  }

  pointerMoved(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.hover(this.under(event));
      return;
    }
    const [dx, dy] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
    this.moved += Math.hypot(dx, dy);
    if (this.outline) {
      this.outline.push([event.offsetX, event.offsetY]);
      this.draw();
    } else if (this.fingers.size === 1) this.pan(dx, dy);
    else {
      const other = [...this.fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
      const apart = (finger) => Math.hypot(finger.offsetX - other.offsetX, finger.offsetY - other.offsetY);
      this.zoom(apart(event) / Math.max(apart(before), 1), (event.offsetX + other.offsetX) / 2, (event.offsetY + other.offsetY) / 2);
    }
    this.fingers.set(event.pointerId, event);
  }

  released(event) {
    if (!this.fingers.delete(event.pointerId)) return;
    const drawn = this.outline;
    this.outline = null;
    if (this.moved < 6 && !this.fingers.size) {
      const place = this.under(event);
      if (place >= 0) this.onOpen(this.points.row[place], event);
    } else if (drawn && drawn.length > 2) {
      const step = Math.ceil(drawn.length / MOST_CORNERS);
      this.onLasso(drawn.filter((_, at) => at % step === 0).map(([x, y]) => this.spotAt(x, y)).map(([x, y]) => [Math.round(x), Math.round(65_535 - y)]));
    }
    this.draw();
  }

  key(event) {
    const step = 60;
    const actions = {
      ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0), ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
      "+": () => this.zoom(1.4), "=": () => this.zoom(1.4), "-": () => this.zoom(1 / 1.4), 0: () => this.fit(),
      Enter: () => this.openMiddle(),
    };
    if (this.lassoing) actions.Escape = () => this.setLasso(false);
    if (!actions[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  }

  openMiddle() {
    const [x, y] = this.spotAt(this.width / 2, this.height / 2);
    const place = this.points.nearest(x, y, Math.hypot(this.width, this.height) / 2 / this.scale, this.lit);
    if (place >= 0) this.onOpen(this.points.row[place], {});
  }

  under(event) {
    const [x, y] = this.spotAt(event.offsetX, event.offsetY);
    return this.points ? this.points.nearest(x, y, (REACH[event.pointerType] ?? REACH.mouse) / this.scale, this.lit) : -1;
  }

  spotAt(px, py) {
    return [(px - this.left) / this.scale, (py - this.top) / this.scale];
  }

  hover(place) {
    if (place === this.hovered) return;
    this.hovered = place;
    if (!this.lassoing) this.canvas.style.setProperty("cursor", place < 0 ? "grab" : "pointer");
    this.tip.hidden = place < 0;
    if (place >= 0) {
      const [x, y] = [this.left + this.scale * this.points.x[place], this.top + this.scale * this.points.y[place]];
      this.tip.classList.toggle("tip-left", x > this.width / 2);
      this.tip.classList.toggle("tip-above", y > this.height / 2);
      this.tip.style.setProperty("--x", `${x}px`);
      this.tip.style.setProperty("--y", `${y}px`);
    }
    this.onHover(place < 0 ? -1 : this.points.row[place], place < 0 ? -1 : this.points.group[place]);
    this.draw();
  }

  resize() {
    const { width, height } = this.element.getBoundingClientRect();
    if (!width || !height) return;
    if (width === this.width && height === this.height) return this.draw();
    const first = !this.width;
    [this.width, this.height] = [width, height];
    this.ratio = Math.min(window.devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / (width * height)));
    this.canvas.width = Math.round(width * this.ratio);
    this.canvas.height = Math.round(height * this.ratio);
    this.sheet = new Sheet(this.canvas.width, this.canvas.height);
    this.names.clear();
    if (first && this.points) this.fit();
    this.drawNow();
  }

  /** Show all points, or those of some groups. */
  fit(only = null) {
    const [left, top, right, bottom] = only ? this.points.bounds(only) : this.points.box;
    const margin = 36;
    const scaleOf = (l, t, r, b) => Math.min((this.width - 2 * margin) / Math.max(r - l, 1), (this.height - 2 * margin) / Math.max(b - t, 1));
    const [l, t, r, b] = this.points.box;
    // A store of one place, or of one image, is not a reason to show pixels of positions.
    this.whole = Math.min(scaleOf(l, t, r, b), 1);
    this.scale = Math.min(scaleOf(left, top, right, bottom), this.whole * 24);
    this.left = this.width / 2 - (this.scale * (left + right)) / 2;
    this.top = this.height / 2 - (this.scale * (top + bottom)) / 2;
    this.hover(-1);
    this.draw();
  }

  pan(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.hover(-1);
    this.draw();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = Math.min(Math.max(this.scale * factor, this.whole / 2), this.whole * FARTHEST_ZOOM);
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.hover(-1);
    this.draw();
  }

  /** Draw with the next frame, once for however many reasons. */
  draw() {
    this.due ??= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    this.due = undefined;
    if (!this.width || !this.points || !this.canvas.isConnected) return;
    if (this.faded) this.readColors();
    const { context, ratio } = this;
    const view = { left: this.left * ratio, top: this.top * ratio, scale: this.scale * ratio };
    const { runs, many } = this.points.inside(...this.spotAt(0, 0), ...this.spotAt(this.width, this.height));
    const radius = this.radius() * ratio;
    this.sheet.clear();
    if (many > MOST_POINTS) this.drawDensity(view);
    else this.sheet.stamp(this.points, runs, view, stampOf(radius, this.sheet.width, many < SMOOTH_POINTS), this.colors);
    if (this.chosenPlaces.length) this.markChosen(view, radius);
    if (many <= MOST_POINTS) context.putImageData(this.sheet.image, 0, 0);
    else if (this.chosenPlaces.length) this.overlay();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawNames();
    this.drawHovered();
    this.drawOutline();
  }

  radius() {
    const grown = (this.scale / this.whole) ** 0.8;
    return Math.min(7, Math.max(1.1, 2.6 * Math.sqrt(3000 / Math.max(this.points.count, 600)) * grown));
  }

  drawDensity(view) {
    this.density ??= densityPicture(this.points, this.colors);
    const { canvas, left, top, span } = this.density;
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.context.drawImage(canvas, view.left + view.scale * left, view.top + view.scale * top, view.scale * span, view.scale * span);
  }

  markChosen(view, radius) {
    const smooth = this.chosenPlaces.length < SMOOTH_POINTS;
    const ring = stampOf(radius + 2 * this.ratio, this.sheet.width, smooth);
    this.sheet.stampPlaces(this.points, this.chosenPlaces, view, ring, this.colors, pixelOf(hexOf(this.ink)));
    this.sheet.stampPlaces(this.points, this.chosenPlaces, view, stampOf(radius, this.sheet.width, smooth), this.colors);
  }

  /** What is on the sheet, over what is there. */
  overlay() {
    this.above ??= el("canvas");
    [this.above.width, this.above.height] = [this.sheet.width, this.sheet.height];
    this.above.getContext("2d").putImageData(this.sheet.image, 0, 0);
    this.context.drawImage(this.above, 0, 0);
  }

  /** The names of the largest groups first, none over another: there is room for more of them the nearer one looks. */
  drawNames() {
    const boxes = [];
    for (const place of this.bySize) {
      if (this.lit.size && !this.lit.has(place)) continue;
      const group = this.groups[place];
      const [px, py] = [this.left + this.scale * group.x, this.top + this.scale * (65_535 - group.y)];
      if (px < -80 || py < -12 || px > this.width + 80 || py > this.height + 12) continue;
      const name = this.nameOf(place);
      const box = [px - name.width / 2, py - NAME_HEIGHT / 2, px + name.width / 2, py + NAME_HEIGHT / 2];
      if (boxes.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      boxes.push([box[0] - NAME_GAP.x, box[1] - NAME_GAP.y, box[2] + NAME_GAP.x, box[3] + NAME_GAP.y]);
      name.canvas ??= this.paintName(name);
      this.context.drawImage(name.canvas, box[0], box[1], name.width, NAME_HEIGHT);
    }
  }

  /** What a group is called on the map, and how wide that is. */
  nameOf(place) {
    if (!this.names.has(place)) {
      const letters = [...title(groupById.get(this.groups[place].id))];
      const text = letters.length > LONGEST_NAME ? `${letters.slice(0, LONGEST_NAME - 1).join("")}…` : letters.join("");
      this.context.font = this.font;
      this.names.set(place, { text, width: Math.ceil(this.context.measureText(text).width) + 10, canvas: null });
    }
    return this.names.get(place);
  }

  /** A name as a picture: letters with an edge are slow to draw in every frame. */
  paintName({ text, width }) {
    const canvas = el("canvas", { width: Math.ceil(width * this.ratio), height: Math.ceil(NAME_HEIGHT * this.ratio) });
    const context = canvas.getContext("2d");
    context.setTransform(canvas.width / width, 0, 0, canvas.height / NAME_HEIGHT, 0, 0);
    Object.assign(context, { font: this.font, textAlign: "center", textBaseline: "middle", lineJoin: "round", lineWidth: 4, strokeStyle: this.paper, fillStyle: this.ink });
    context.strokeText(text, width / 2, NAME_HEIGHT / 2);
    context.fillText(text, width / 2, NAME_HEIGHT / 2);
    return canvas;
  }

  drawHovered() {
    if (this.hovered < 0) return;
    const { context } = this;
    context.beginPath();
    context.arc(this.left + this.scale * this.points.x[this.hovered], this.top + this.scale * this.points.y[this.hovered], 8, 0, 2 * Math.PI);
    context.lineWidth = 2.5;
    context.strokeStyle = this.ink;
    context.stroke();
  }

  drawOutline() {
    if (!this.outline) return;
    const { context } = this;
    context.beginPath();
    for (const [x, y] of this.outline) context.lineTo(x, y);
    context.closePath();
    context.globalAlpha = 0.12;
    context.fillStyle = this.ink;
    context.fill("evenodd");
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.strokeStyle = this.ink;
    context.stroke();
  }
}

/** A computed color, rgb(1, 2, 3), as #010203. */
function hexOf(color) {
  const parts = color.match(/\d+/g)?.slice(0, 3) ?? [0, 0, 0];
  return `#${parts.map((part) => Number(part).toString(16).padStart(2, "0")).join("")}`;
}
