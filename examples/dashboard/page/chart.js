// A line over the last two minutes, as SVG. It has gaps where nothing was measured.
const SPAN = 120_000, GAP = 3_500, WIDTH = 240, HEIGHT = 64, ROOM = 4;

// Returns the end of the axis, a round number that is not less.
export function ceiling(value, least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, least)));
  return Math.max(least, [1, 2, 5, 10].map(step => step * power).find(round => round >= value));
}

// Returns the places of the samples. The newest is at the right edge.
export function places(samples, value, top) {
  const now = samples.at(-1).at;
  return samples.map(sample => ({
    sample,
    x: WIDTH - (now - sample.at) / SPAN * WIDTH,
    y: HEIGHT - value(sample) / top * (HEIGHT - ROOM),
    first: false,
  })).filter(place => place.x >= 0).map((place, index, all) => ({ ...place, first: index === 0 || place.sample.at - all[index - 1].sample.at > GAP }));
}

export function draw(svg, points, pointed) {
  const at = point => `${point.x.toFixed(1)},${point.y.toFixed(1)}`;
  const line = points.map(point => `${point.first ? 'M' : 'L'}${at(point)}`).join('');
  const area = runs(points).map(run => `M${run[0].x.toFixed(1)},${HEIGHT}${run.map(point => `L${at(point)}`).join('')}L${run.at(-1).x.toFixed(1)},${HEIGHT}Z`).join('');
  svg.querySelector('.line').setAttribute('d', line);
  svg.querySelector('.area').setAttribute('d', area);
  const point = pointed ?? points.at(-1);
  svg.querySelector('.dot').setAttribute('d', `M${at(point)}h0`);
  const cursor = svg.querySelector('.cursor');
  cursor.setAttribute('x1', point.x);
  cursor.setAttribute('x2', point.x);
}

function runs(points) {
  const runs = [];
  for (const point of points) point.first ? runs.push([point]) : runs.at(-1).push(point);
  return runs;
}

// Returns the place nearest to a share of the width.
export function nearest(points, share) {
  const far = point => Math.abs(point.x - share * WIDTH);
  return points.reduce((best, point) => far(point) < far(best) ? point : best);
}
