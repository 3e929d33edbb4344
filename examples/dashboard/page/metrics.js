// @ts-check
// Four figures of the server, each with its last two minutes.
import { ceiling, draw, nearest, places } from './chart.js';
import { exact, integer, short } from './format.js';
import { $, say, template } from './list.js';

/** @typedef {import('./paths.d.ts').components['schemas']['Sample']} Sample */
/** @typedef {{ id: string, title: string, unit: string, value(sample: Sample): number, least: number }} Metric */
/** @typedef {(typeof cards)[number]} Card */

const KEPT = 120, SILENT = 5_000;
/** @type {Metric[]} */
const METRICS = [
  { id: 'cpu', title: 'CPU', unit: '% of a core', value: sample => sample.cpu, least: 10 },
  { id: 'memory', title: 'Memory', unit: 'MiB', value: sample => sample.memory / 2 ** 20, least: 10 },
  { id: 'connections', title: 'Connections', unit: 'open', value: sample => sample.connections, least: 5 },
  { id: 'events', title: 'Events delivered', unit: 'a second', value: sample => sample.events, least: 10 },
];

/** @type {Sample[]} */
let samples = [];
let isOld = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let silence;
const cards = METRICS.map(metric => ({ ...metric, ...card(metric), pointer: /** @type {number | null} */ (null) }));

// Old figures stay and show their time, while the page is cut off or nothing comes over an open connection.
export function markOld() {
  isOld = true;
  if (samples.length) cards.forEach(show);
}

/**
 * Samples from before a restart stay.
 * @param {Sample} sample
 */
export function put(sample) {
  const known = new Map([...samples, sample].map(one => [one.at, one]));
  samples = [...known.values()].sort((a, b) => a.at - b.at).slice(-KEPT);
  clearTimeout(silence);
  silence = setTimeout(markOld, SILENT);
  isOld = false;
  if (samples.length) cards.forEach(show);
}

/** @param {Metric} metric */
function card({ id, title, unit }) {
  const element = template('metric')();
  element.id = id;
  const find = (/** @type {string} */ what) => element.querySelector(what);
  find('h2').textContent = title;
  find('.unit').textContent = unit;
  $('metrics').append(element);
  return { element, svg: find('svg'), output: find('output'), top: find('.ceiling'), when: find('.when') };
}

/** @param {Card} card */
function show(card) {
  const top = ceiling(1.1 * Math.max(...samples.map(card.value)), card.least);
  const points = places(samples, card.value, top);
  const pointed = card.pointer === null ? null : nearest(points, card.pointer);
  const { sample } = pointed ?? points.at(-1);
  draw(card.svg, points, pointed);
  card.element.classList.toggle('pointed', pointed !== null);
  say(card.output, short(card.value(sample)));
  say(card.top, integer(top));
  card.element.classList.toggle('old', isOld);
  const at = exact(sample.at), when = pointed ? at : isOld ? `old since ${at}` : 'now';
  say(card.when, when);
  card.svg.setAttribute('aria-label', `${card.title}: ${short(card.value(sample))} ${card.unit}, ${when}`);
}

for (const card of cards) {
  const point = (/** @type {number | null} */ pointer) => { card.pointer = pointer; if (samples.length) show(card); };
  card.svg.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
    const { left, width } = card.svg.getBoundingClientRect();
    point((event.clientX - left) / width);
  });
  card.svg.addEventListener('pointerleave', () => point(null));
}
