// @ts-check
// The jobs: running ones, then waiting ones in their order, then finished ones with the newest first.
import { integer } from './format.js';
import { $, follow, say, template } from './list.js';
import { attempt, request } from './request.js';

/** @typedef {import('./paths.d.ts').components['schemas']} Schemas */
/** @typedef {Schemas['Job']} Job */

/** @type {Job['state'][]} */
const UNFINISHED = ['running', 'queued'];
const SHOWN = 20;
const make = template('job');
/** @type {Map<number, Job>} */
let jobs = new Map();

/** @param {Job} job */
export function put(job) {
  jobs.set(job.id, job);
  show();
}

/** @param {Job[]} list */
export function all(list) {
  jobs = new Map(list.map(job => [job.id, job]));
  show();
}

function show() {
  const list = [...jobs.values()].sort((a, b) => rank(a) - rank(b) || (isOver(a) ? b.id - a.id : a.id - b.id));
  // The server forgets old jobs, and so does the page.
  for (const job of list.filter(isOver).slice(SHOWN)) jobs.delete(job.id);
  follow($('jobs'), list.filter(job => jobs.has(job.id)), make, update);
  /** @param {Job['state']} state */
  const count = state => list.filter(job => job.state === state).length;
  const unfinished = UNFINISHED.map(state => ({ state, n: count(state) })).filter(({ n }) => n);
  say($('jobs-count'), unfinished.map(({ state, n }) => `${n} ${state}`).join(', '));
}

/** @param {Job} job */
function isOver(job) {
  return !UNFINISHED.includes(job.state);
}

/** @param {Job} job */
function rank(job) {
  return isOver(job) ? UNFINISHED.length : UNFINISHED.indexOf(job.state);
}

/**
 * @param {any} element
 * @param {Job} job
 */
function update(element, job) {
  const over = isOver(job);
  const find = (/** @type {string} */ what) => element.querySelector(what);
  element.dataset.state = job.state;
  say(find('.title'), `${job.id}. Primes below ${integer(job.below)}`);
  say(find('.share'), { queued: 'queued', running: `${job.percent} %`, done: '✓ done', cancelled: 'cancelled' }[job.state]);
  say(find('.note'), note(job));
  find('progress').value = job.percent;
  find('progress').setAttribute('aria-label', `Progress of job ${job.id}`);
  find('button').hidden = over;
  find('button').setAttribute('aria-label', `Cancel job ${job.id}`);
}

/** @param {Job} job */
function note({ state, percent, found }) {
  if (state === 'queued' && !percent) return 'waits for a worker';
  return `${integer(found)} found${state === 'cancelled' ? `, stopped at ${percent} %` : ''}`;
}

$('jobs').addEventListener('click', (/** @type {any} */ event) => {
  const button = event.target.closest('button');
  if (button) attempt($('jobs-fault'), () => request('DELETE', `/jobs/${button.closest('li').dataset.key}`));
});

$('new-job').addEventListener('submit', (/** @type {any} */ event) => {
  event.preventDefault();
  const below = Number(new FormData(event.target).get('below'));
  attempt($('jobs-fault'), () => request('POST', '/jobs', { below }));
});
