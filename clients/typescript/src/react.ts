import { useMemo, useSyncExternalStore } from 'react';
import { eventStore, type Link, type Shown } from './store.js';

/** Shows an `eventStore` while the component is mounted. A change of `deps` opens a new one. On the server it shows `initial`. */
export function useEvents<E, T>(
  open: (link: Link) => AsyncIterable<E>,
  reduce: (value: T, event: E) => T,
  initial: T,
  deps: readonly unknown[],
): Shown<T> {
  const store = useMemo(() => eventStore(open, reduce, initial), deps);
  return useSyncExternalStore(store.subscribe, store.shown, store.first);
}
