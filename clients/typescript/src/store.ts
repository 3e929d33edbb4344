// A store for pages that show a stream, independent of any framework.

import type { OnState, State } from './types.js';

/** The options that a store passes to the stream that it opens. */
export interface Link {
  signal: AbortSignal;
  onState: OnState;
}

export interface Shown<T> {
  value: T;
  state: State;
  /** The latest error, while the stream waits or after it has failed. */
  error: unknown;
}

/**
 * Creates a store of a stream. `reduce` makes the next value from the current one and an event. The first subscriber opens the
 * stream, and the last one to leave closes it. The next first subscriber begins again with the initial value.
 *
 * `shown()` changes with each event. The listeners are told once of all events that come together, or a page would draw each event of a
 * long replay.
 */
export function eventStore<E, T>(
  open: (link: Link) => AsyncIterable<E>,
  reduce: (value: T, event: E) => T,
  initial: T,
) {
  const first: Shown<T> = { value: initial, state: 'connecting', error: undefined };
  /** Each subscription is an object of its own, so that one function can subscribe twice. */
  const subscriptions = new Set<{ listener: () => void }>();
  let shown = first;
  let stop: AbortController | undefined;
  let telling: ReturnType<typeof setTimeout> | undefined;

  function tell() {
    telling = undefined;
    // A listener may add to them.
    for (const subscription of [...subscriptions]) {
      if (subscriptions.has(subscription)) call(subscription.listener);
    }
  }

  async function follow(signal: AbortSignal) {
    // A stream that was closed changes nothing more.
    const show = (change: Partial<Shown<T>>) => {
      if (signal.aborted) return;
      shown = { ...shown, ...change };
      telling ??= setTimeout(tell);
    };
    // A page that is drawn on a server, or mounted twice, may leave at once.
    await undefined;
    if (signal.aborted) return;
    try {
      const events = open({ signal, onState: (state, error) => show({ state, error }) });
      for await (const event of events) show({ value: reduce(shown.value, event) });
    } catch (error) {
      show({ state: 'failed', error });
    }
  }

  return {
    first: () => first,
    shown: () => shown,
    subscribe(listener: () => void) {
      const subscription = { listener };
      subscriptions.add(subscription);
      if (!stop) {
        stop = new AbortController();
        shown = first;
        void follow(stop.signal);
      }
      return () => {
        subscriptions.delete(subscription);
        if (subscriptions.size) return;
        stop?.abort();
        stop = undefined;
        clearTimeout(telling);
        telling = undefined;
      };
    },
  };
}

/** An error of the listener is reported as one of an event handler. It ends nothing else. */
function call(listener: () => void) {
  try {
    listener();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
