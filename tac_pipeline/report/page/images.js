// Tiles of images, and the viewer that opens when one is chosen.

/** The picture of an image, or what stands in for it. */
function picture(image, className) {
  if (image.picture) {
    return el("img", { class: className, src: `data:image/webp;base64,${image.picture}`, alt: "", decoding: "async", draggable: "false" });
  }
  const text = summary.hasPictures ? "picture not available" : shortId(image.id);
  return el("span", { class: `${className ?? ""} placeholder`, title: image.id }, text);
}

function badges(image) {
  return [
    image.border ? el("span", { class: "badge" }, "border") : null,
    image.outlier ? el("span", { class: "badge" }, "outlier") : null,
  ];
}

/** A grid of images, plain where its heading says what their badges would; each opens the viewer, where the arrow keys go through all of them. */
function gallery(images, { caption, plain } = {}) {
  return el(
    "ul",
    { class: summary.hasPictures ? "gallery" : "gallery gallery-ids" },
    images.map((image, place) =>
      el(
        "li",
        {},
        el(
          "button",
          { type: "button", class: "tile", "aria-label": `Open ${image.id}`, title: image.id, on: { click: () => viewer.open(images, place) } },
          picture(image),
          caption ? el("span", { class: "caption" }, caption(image)) : null,
          plain ? null : el("span", { class: "badges" }, badges(image)),
        ),
      ),
    ),
  );
}

/** One image large, with what is known of it. */
const viewer = (() => {
  let images = [];
  let place = 0;
  const stage = el("div", { class: "stage" });
  const facts = el("div", { class: "facts" });
  const step = (by) => el("button", { type: "button", class: "quiet", on: { click: () => move(by) } }, by < 0 ? "← Previous" : "Next →");
  const [previous, next] = [step(-1), step(1)];
  const close = el("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Close");
  const dialog = el("dialog", { class: "viewer", "aria-label": "Image" }, stage, facts, el("div", { class: "viewer-buttons" }, previous, next, close));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);

  function move(by) {
    const there = place + by;
    if (there < 0 || there >= images.length) return;
    place = there;
    show();
  }

  function show() {
    const image = images[place];
    const cluster = clusters[image.cluster];
    const runnerUp = clusters[image.runnerUp];
    previous.disabled = place === 0;
    next.disabled = place === images.length - 1;
    stage.replaceChildren(picture(image));
    const rows = [
      ["cluster", cluster ? clusterLink(cluster) : "none"],
      ["confidence", percent(image.confidence)],
      ["typicality", `${percent(image.typicality)} of the cluster is no nearer to its center`],
      ["runner-up", runnerUp ? [clusterLink(runnerUp), image.border ? " (on the border)" : ""] : "none"],
      image.outlier ? ["outlier", "much farther from the center than the others"] : null,
      image.group !== null ? ["near-duplicates", [`group ${image.group + 1}, `, image.copyOf === null ? "which it stands for" : ["like ", isolated(image.copyOf)]]] : null,
      image.width ? ["size", `${count(image.width)} × ${count(image.height)} pixels`] : null,
    ].filter(Boolean);
    facts.replaceChildren(
      el("p", { class: "image-id" }, image.id),
      el("dl", {}, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      el("p", { class: "note" }, `${place + 1} of ${images.length}`),
    );
  }

  function open(list, at) {
    images = list;
    place = at;
    show();
    dialog.showModal();
    // Not the first button: it may be disabled on the way, and the focus with it.
    close.focus();
  }

  return { open, move, isOpen: () => dialog.open, close: () => dialog.open && dialog.close() };
})();

function clusterLink(cluster) {
  return el("a", { class: "cluster-link", href: `#/cluster/${cluster.id}`, on: { click: () => viewer.close() } }, dot(cluster), isolated(title(cluster)));
}

function dot(cluster) {
  return el("i", { class: "dot", style: { "--color": cluster.color }, "aria-hidden": "true" });
}
