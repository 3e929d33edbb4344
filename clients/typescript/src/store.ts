// For pages that show a stream, whatever they are made with.

import type { OnState, State } from './types.js';

/** What a store gives to the stream that it opens. */
export interface Link {
  signal: AbortSignal;
  onState: OnState;
}

export interface Shown<T> {
  value: T;
  state: State;
  /** What went wrong, while it waits or once it has failed. */
  error: unknown;
}

/**
 * A stream, as something to subscribe to: `reduce` makes the value that is shown of the one before and an event. The stream is open
 * while somebody has subscribed, and each time it begins anew.
 */
export function eventStore<E, T>(
  open: (link: Link) => AsyncIterable<E>,
  reduce: (value: T, event: E) => T,
  initial: T,
) {
  const first: Shown<T> = { value: initial, state: 'connecting', error: undefined };
  const listeners = new Set<() => void>();
  let shown = first;
  let stop: AbortController | undefined;

  async function follow(signal: AbortSignal) {
    // Whoever has left is told nothing more.
    const show = (change: Partial<Shown<T>>) => {
      if (signal.aborted) return;
      shown = { ...shown, ...change };
      for (const listener of listeners) listener();
    };
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
      listeners.add(listener);
      if (!stop) {
        stop = new AbortController();
        shown = first;
        void follow(stop.signal);
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size) return;
        stop?.abort();
        stop = undefined;
      };
    },
  };
}
