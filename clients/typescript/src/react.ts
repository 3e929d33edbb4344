import { useMemo, useSyncExternalStore } from 'react';
import { eventStore, type Link, type Shown } from './store.js';

/** An `eventStore` while the component is there. A change of `deps` begins anew. On the server it shows `initial`. */
export function useEvents<E, T>(
  open: (link: Link) => AsyncIterable<E>,
  reduce: (value: T, event: E) => T,
  initial: T,
  deps: readonly unknown[],
): Shown<T> {
  const store = useMemo(() => eventStore(open, reduce, initial), deps);
  return useSyncExternalStore(store.subscribe, store.shown, store.first);
}
