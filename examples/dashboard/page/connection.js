// @ts-check
// The stream of the page.
//
// An event of a topic is one item, new or changed. It replaces the item with the same key, so none is ever shown twice. A new page
// receives the newest items of each topic, and all jobs as `jobs:all`.
import { createClient } from './helios-sse-client.js';

/** @typedef {import('./paths.d.ts').paths} Paths */
/** @typedef {import('./paths.d.ts').components['schemas']} Schemas */
/** @typedef {'connecting' | 'catching-up' | 'live' | 'reconnecting' | 'closed'} Phase */

/**
 * @typedef {object} Parts
 * @property {{ put(sample: Schemas['Sample']): void }} metrics
 * @property {{ put(job: Schemas['Job']): void, all(jobs: Schemas['Job'][]): void }} jobs
 * @property {{ put(message: Schemas['Message']): void, clear(): void }} chat
 * @property {{ put(notice: Schemas['Notice'], id: string): void, clear(): void }} notifications
 */

/** @typedef {ReturnType<typeof atFirst>} State */

/**
 * The reasons for which the server sends everything again.
 * @type {Record<string, string>}
 */
const REASONS = { epoch: 'reloaded, the server was restarted', expired: 'reloaded, away for too long' };

/** @type {import('./helios-sse-client.js').Client<Paths>} */
const api = createClient();

/** @typedef {ReturnType<typeof api.events<'/live'>> extends AsyncGenerator<infer Event> ? Event : never} News */

/** @param {number} topics */
function atFirst(topics) {
  return { phase: /** @type {Phase} */ ('connecting'), detail: '', events: 0, connections: 0, caughtUp: 0, lastEventId: '', topics };
}

/**
 * @param {Parts} parts
 * @param {(state: State) => void} tell
 */
export function connect(parts, tell) {
  const state = atFirst(Object.keys(parts).length);
  let stop = new AbortController();
  let missed = 0, isNew = false, resumed = false, reason = '', excuse = '';

  /** @param {Partial<State>} news */
  const change = news => tell(Object.assign(state, news));

  /** @param {AbortSignal} signal */
  async function follow(signal) {
    while (!signal.aborted) {
      try {
        // The client comes back by itself, with the id of its last event.
        for await (const event of api.events('/live', { signal, onState, lastEventId: state.lastEventId })) {
          state.lastEventId = event.lastEventId || state.lastEventId;
          try {
            take(event);
          } catch (error) {
            reportError(error); // It is the page's own, and the stream goes on.
          }
          if (state.phase === 'live') change({});
        }
      } catch {
        if (signal.aborted) return;
      }
      // The client has given up, perhaps after the error page of a proxy. This page tries again.
      change({ phase: 'closed', detail: 'trying again' });
      await new Promise(resolve => setTimeout(resolve, 3000));
    }
  }

  /** @type {import('./helios-sse-client.js').OnState} */
  function onState(now) {
    if (now === 'open') opened();
    if (now === 'waiting') change({ phase: 'reconnecting', detail: excuse });
    if (now === 'connecting' && state.phase !== 'reconnecting') change({ phase: 'connecting', detail: '' });
  }

  /** @param {News} event */
  function take(event) {
    switch (event.event) {
      case 'metrics': item(); return parts.metrics.put(event.data);
      case 'jobs': item(); return parts.jobs.put(event.data);
      case 'jobs:all': state.events++; return parts.jobs.all(event.data);
      case 'chat': item(); return parts.chat.put(event.data);
      case 'notifications': item(); return parts.notifications.put(event.data, event.lastEventId);
      case 'helios:ready': return ready(event.data.resumed);
      case 'caught-up': if (!reason) upToDate(); return;
      case 'helios:reset': return reset(event.data);
      case 'helios:reconnect': excuse = 'the server is restarting'; return;
      case 'helios:overloaded': excuse = `the server is full, again in ${Math.ceil(event.data.retry / 1000)} s`;
    }
  }

  function item() {
    state.events++;
    missed++;
  }

  /** @param {boolean} isResumed */
  function ready(isResumed) {
    resumed = isResumed;
    if (reason || isNew) upToDate();
    isNew = !state.lastEventId; // What it shows comes first, then the position.
  }

  /** @param {{ reason: string, topics: string[] }} reset */
  function reset({ reason: why, topics }) {
    reason = why;
    // The newest items follow.
    if (topics.includes('chat')) parts.chat.clear();
    if (topics.includes('notifications')) parts.notifications.clear();
  }

  function opened() {
    [missed, isNew, resumed, reason, excuse] = [0, false, false, '', ''];
    change({ phase: 'catching-up', detail: '', connections: state.connections + 1 });
  }

  function upToDate() {
    state.caughtUp += resumed ? missed : 0;
    change({ phase: 'live', detail: REASONS[reason] ?? (resumed ? `resumed, ${missed} missed ${missed === 1 ? 'event' : 'events'}` : '') });
    reason = '';
  }

  function open() {
    stop = new AbortController();
    void follow(stop.signal);
  }

  addEventListener('pagehide', () => stop.abort());
  addEventListener('pageshow', event => { if (event.persisted) open(); });
  open();
}
