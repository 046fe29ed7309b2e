// One cluster: its name and what speaks for it, its images by typicality, and those that are worth a look.

function clusterView(id) {
  const index = clusterAt.get(id);
  if (index === undefined) return [emptyState("There is no such cluster", "It may have been merged into another one.")];
  const cluster = clusters[index];
  const images = packOf(index);
  const typical = images.filter((image) => !image.outlier);
  const border = images.filter((image) => image.border).sort((a, b) => a.margin - b.margin);
  const outliers = images.filter((image) => image.outlier).reverse();
  return [
    clusterHead(cluster, index),
    el("div", { class: "columns" }, alternatives(cluster), nouns(cluster)),
    section(
      "Most typical first",
      cluster.size > images.length ? `${count(typical.length)} of ${count(cluster.size)} images` : "",
      typical.length ? gallery(typical) : emptyState("No images", "Nothing in the store falls into this cluster now."),
    ),
    border.length
      ? section(
          "On the border",
          `${plural(cluster.border, "image")} that another cluster nearly got`,
          gallery(border, { plain: true, caption: (image) => (clusters[image.runnerUp] ? ["or ", isolated(title(clusters[image.runnerUp]))] : "") }),
        )
      : null,
    outliers.length ? section("Outliers", `${plural(cluster.outliers, "image")} far from the others`, gallery(outliers, { plain: true })) : null,
  ];
}

function clusterHead(cluster, index) {
  const [before, after] = [clusters[index - 1], clusters[index + 1]];
  const go = (other, label, text) =>
    other ? el("a", { class: "quiet", href: `#/cluster/${other.id}`, "aria-label": `${label}: ${title(other)}` }, text) : null;
  return el(
    "div",
    { class: "cluster-head", style: { "--color": cluster.color } },
    el(
      "div",
      { class: "crumbs" },
      el("a", { class: "quiet", href: "#/clusters" }, "← All clusters"),
      el("span", { class: "spring" }),
      go(before, "Larger cluster", "← Larger"),
      go(after, "Smaller cluster", "Smaller →"),
    ),
    el("h2", { tabindex: "-1" }, dot(cluster), isolated(title(cluster)), cluster.curated ? el("span", { class: "badge" }, "curated") : null),
    el(
      "p",
      { class: "note" },
      [
        `${plural(cluster.size, "image")}, ${percent(cluster.share)} of the store`,
        cluster.confidence === null ? null : `mean confidence ${percent(cluster.confidence)}`,
        cluster.nameConfidence === null ? null : `name fits by ${percent(cluster.nameConfidence)}`,
        `id ${cluster.id}`,
        cluster.lineage,
      ]
        .filter(Boolean)
        .join(" · "),
    ),
    cluster.x === null ? null : el("p", {}, el("a", { class: "button", href: `#/map/${cluster.id}` }, "Show on the map")),
  );
}

function alternatives(cluster) {
  return el(
    "section",
    { class: "panel" },
    el("h3", {}, "Could also be called"),
    cluster.alternatives.length
      ? el("ul", { class: "words" }, cluster.alternatives.map((noun) => el("li", {}, isolated(noun))))
      : el("p", { class: "note" }, "No other noun fits."),
  );
}

/** The nouns that the images of the cluster retrieve, as bars. */
function nouns(cluster) {
  const most = Math.max(...cluster.nouns.map(([, weight]) => weight), 0.001);
  const bars = cluster.nouns.map(([noun, weight]) =>
    el("li", { style: { "--share": `${(100 * weight) / most}%` } }, el("span", {}, isolated(noun)), el("span", { class: "number" }, percent(weight))),
  );
  return el(
    "section",
    { class: "panel" },
    el("h3", {}, "The nouns that it was built from"),
    bars.length ? el("ol", { class: "bars" }, bars) : el("p", { class: "note" }, "None: no training image lies here."),
  );
}

function section(heading, note, ...content) {
  return el("section", { class: "part" }, el("div", { class: "part-head" }, el("h3", {}, heading), note ? el("p", { class: "note" }, note) : null), content);
}
