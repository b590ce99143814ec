"use strict";
// Blocks by round and author, where the trace has events of a consensus: what became of each. Later ones stand for more.
const BLOCK = ["block_accepted", "block_made", "block_ordered", "leader_ordered"];
const BLOCK_TEXT = ["accepted by somebody", "made", "ordered", "ordered as a leader's"];
function blockGrids() {
  const grids = new Map(), here = new Map();
  for (let i = 0; i < total; i++) {
    if (events.kind[i] !== kindOf.event) continue;
    const name = data.names[events.name[i]], node = events.node[i];
    if (name === "epoch_started") here.set(node, events.a[i]);
    const rank = BLOCK.indexOf(name);
    if (rank < 0) continue;
    const epoch = here.get(node) || 0;
    if (!grids.has(epoch)) grids.set(epoch, { first: events.a[i], last: 0, authors: 0, cells: new Map() });
    const grid = grids.get(epoch), key = events.a[i] + "/" + events.b[i], cell = grid.cells.get(key) || { rank, event: i };
    cell.rank = Math.max(cell.rank, rank);
    grid.cells.set(key, cell);
    grid.first = Math.min(grid.first, events.a[i]);
    grid.last = Math.max(grid.last, events.a[i]);
    grid.authors = Math.max(grid.authors, events.b[i] + 1);
  }
  return [...grids].sort((a, b) => a[0] - b[0]);
}

const CELL = 9, ROUNDS_MOST = 3000;
function blockCanvas(grid) {
  const picture = make("canvas"), rounds = Math.min(grid.last - grid.first + 1, ROUNDS_MOST), left = 46;
  // Of a longer run the last rounds, since that is where failures are.
  const first = grid.last - rounds + 1, scale = devicePixelRatio || 1;
  const [wide, high] = [left + grid.authors * CELL, rounds * CELL];
  picture.width = wide * scale;
  picture.height = high * scale;
  picture.style.width = wide + "px";
  picture.style.height = high + "px";
  const g = picture.getContext("2d"), color = [colors.low, colors.dim, colors.fact, colors.start];
  g.scale(scale, scale);
  g.font = "9px system-ui, sans-serif";
  g.textBaseline = "top";
  g.textAlign = "right";
  for (let round = first; round <= grid.last; round++) {
    g.fillStyle = colors.dim;
    if (round % 5 === 0) g.fillText(round, left - 6, (round - first) * CELL);
    for (let author = 0; author < grid.authors; author++) {
      const cell = grid.cells.get(round + "/" + author);
      if (!cell) continue;
      g.fillStyle = color[cell.rank];
      g.fillRect(left + author * CELL, (round - first) * CELL, CELL - 1, CELL - 1);
    }
  }
  picture.onclick = (event) => {
    const round = first + Math.floor(event.offsetY / CELL), author = Math.floor((event.offsetX - left) / CELL);
    const cell = grid.cells.get(round + "/" + author);
    if (cell) pick(cell.event, true);
  };
  return picture;
}

function blockPictures() {
  const grids = blockGrids();
  if (!grids.length) return [];
  const key = BLOCK_TEXT.map((text, rank) => {
    const line = make("p"), box = make("i");
    box.style.cssText = "display:inline-block;width:9px;height:9px;margin-right:6px;background:" + [colors.low, colors.dim, colors.fact, colors.start][rank];
    line.append(box, text);
    return line;
  });
  return [make("h2", "Blocks by round and author"), ...key,
    ...grids.flatMap(([epoch, grid]) => [make("p", "epoch " + epoch), blockCanvas(grid)])];
}
