// A tree of groups, read at the number of branches that a person wants; the page for sending and the workbench share it.

const DEFAULT_BRANCHES = 12;

/** The tree of nodes {node, parent, cluster, name, size, height}; the leaves are those with a cluster. */
function plantTree(nodes) {
  const byNumber = new Map(nodes.map((node) => [node.node, { ...node, children: [] }]));
  const roots = [];
  for (const node of byNumber.values()) (byNumber.get(node.parent)?.children ?? roots).push(node);
  const leaves = nodes.filter((node) => node.cluster !== null).length;
  // What joined last is parted first.
  const inner = [...byNumber.values()].filter((node) => node.children.length).sort((a, b) => b.height - a.height);
  return { roots, leaves, inner };
}

/** The tree cut into at least so many branches. */
function cutTree(tree, wanted) {
  const branches = new Set(tree.roots);
  for (let before = -1; branches.size < wanted && before !== branches.size; ) {
    before = branches.size;
    for (const node of tree.inner) {
      if (branches.size >= wanted) break;
      if (!branches.delete(node)) continue;
      for (const child of node.children) branches.add(child);
    }
  }
  return [...branches].sort((a, b) => b.size - a.size);
}

function leavesOf(node) {
  return node.children.length ? node.children.flatMap(leavesOf) : [node];
}

/**
 * The slider and the branches of a tree.
 *
 * `leaf` draws the element inside a leaf's list item, and `faded` says whether the leaf is only the others' company;
 * `word` is what a leaf is called, and `wanted` is told each number of branches that somebody asks for.
 */
function branchesView(tree, { first, leaf, faded, word, wanted }) {
  const holder = el("div", {});
  const said = el("output", { for: "groups", class: "note" });
  const draw = (many) => {
    const branches = cutTree(tree, many);
    said.textContent = plural(branches.length, "group");
    const list = el("ul", { class: "branches" });
    holder.replaceChildren(list);
    drawAsNeeded(list, branches, (node) => branchOf(node, { leaf, faded, word }), BRANCHES_AT_ONCE);
  };
  const slider = el("input", {
    type: "range", id: "groups", min: 1, max: tree.leaves, value: first,
    on: { input: (event) => { wanted(Number(event.target.value)); draw(Number(event.target.value)); } },
  });
  draw(first);
  return [el("div", { class: "toolbar" }, el("label", { for: "groups" }, "Read as"), slider, said), holder];
}

const BRANCHES_AT_ONCE = DEFAULT_BRANCHES;
const LEAVES_AT_ONCE = 40;

/** Fill a list with as many items as somebody comes near to: a tree may have thousands. */
function drawAsNeeded(list, items, draw, many, from = 0) {
  const added = items.slice(from, from + many).map(draw);
  list.append(...added);
  if (from + many < items.length) whenNear(added.slice(-1), () => drawAsNeeded(list, items, draw, many, from + many));
}

function branchOf(node, { leaf, faded, word }) {
  const leaves = leavesOf(node).filter((one) => one.cluster !== null).sort((a, b) => b.size - a.size);
  const list = el("ul", { class: "leaves" });
  drawAsNeeded(list, leaves, (one) => {
    const item = el("li", { class: faded(one) ? "faded" : null }, leaf(one));
    whenNear([...item.querySelectorAll(".mosaic")], fillMosaic);
    return item;
  }, LEAVES_AT_ONCE);
  return el(
    "li",
    { class: "branch" },
    el("div", { class: "branch-head" }, el("h3", {}, isolated(node.name ?? "unnamed")), el("p", { class: "note" }, `${plural(node.size, "image")} in ${plural(leaves.length, word)}`)),
    list,
  );
}
