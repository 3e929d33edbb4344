// A `fetch` that answers by a script and records its requests.
import { mock } from 'node:test';

/** How a body goes on behind its pieces: texts, and the milliseconds that pass between them. */
export const ENDS = 'ends', BREAKS = 'breaks off', STAYS = 'stays open';

export function stream(pieces, then = ENDS, headers = {}) {
  return asked => {
    const left = [pieces].flat();
    asked.pulls = 0;
    const body = new ReadableStream({
      start(controller) {
        asked.signal.addEventListener('abort', () => {
          asked.isClosed = true;
          controller.error(asked.signal.reason);
        });
      },
      async pull(controller) {
        asked.pulls++;
        await settled();
        while (typeof left[0] === 'number') mock.timers.tick(left.shift());
        if (left.length) return controller.enqueue(new TextEncoder().encode(left.shift()));
        if (then === ENDS) controller.close();
        if (then === BREAKS) controller.error(new TypeError('terminated'));
        return new Promise(() => {});
      },
      cancel() {
        asked.isClosed = true;
      },
    }, { highWaterMark: 0 });
    return new Response(body, { headers: { 'content-type': 'text/event-stream', ...headers } });
  };
}

export const status = (status, headers = {}, body = null) => () => new Response(body, { status, headers });

export const problem = (code, problem, headers) =>
  status(code, { 'content-type': 'application/problem+json', ...headers }, JSON.stringify(problem));

export function refused() {
  throw new TypeError('fetch failed');
}

/** Never answers. */
export const hangs = asked => new Promise((_, reject) => {
  asked.signal.addEventListener('abort', () => reject(asked.signal.reason));
});

export class Server {
  /** The requests. */
  asked = [];
  states = [];
  events = [];
  #watchers = new Set();

  constructor(...answers) {
    this.answers = answers;
    this.fetch = async (url, init) => {
      const asked = { url, ...init, id: init.headers.get('last-event-id') };
      this.asked.push(asked);
      if (!this.answers.length) throw new Error('asked once too often');
      init.signal.throwIfAborted();
      return this.answers.shift()(asked);
    };
    this.onState = (state, error) => {
      this.states.push(error ? `${state}: ${error.message}` : state);
      this.#tell();
    };
  }

  /** Reads all events. Then `done` holds the error that ended the stream, or `undefined`. */
  read(events) {
    const all = async () => {
      for await (const event of events) {
        this.events.push(event);
        this.#tell();
      }
    };
    this.done = all().then(() => undefined, error => error);
    return this;
  }

  /** Waits until it is in this state for the n-th time. */
  async until(state, n = 1) {
    await this.#when(() => this.states.filter(each => each.split(':')[0] === state).length >= n);
  }

  async untilEvents(n) {
    await this.#when(() => this.events.length >= n);
  }

  /** Lets the time pass that it waits, and not a millisecond less. */
  async waits(ms, n = 1) {
    await this.until('waiting', n);
    const before = this.asked.length;
    mock.timers.tick(ms - 1);
    await settled();
    if (this.asked.length !== before) throw new Error(`it came back before ${ms} ms`);
    mock.timers.tick(1);
    await this.until('connecting', n + 1);
  }

  async #when(isSo) {
    while (!isSo()) await new Promise(resolve => this.#watchers.add(resolve));
  }

  #tell() {
    for (const watcher of this.#watchers) watcher();
    this.#watchers.clear();
  }
}

/** Everything that needs no time has happened. */
export const settled = () => new Promise(resolve => setImmediate(resolve));
