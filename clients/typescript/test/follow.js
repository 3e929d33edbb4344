// Tells everything that the client sees of a stream: for the tests of Helios, in Node and in a page.
import { createClient } from '../dist/index.js';

export async function follow(url, tell, options) {
  const { origin, pathname, search } = new URL(url);
  const api = createClient({ baseUrl: origin, ...options });
  const onState = (state, error) => {
    if (state === 'waiting' && error) tell({ error: `${error}, ${error.cause ?? ''}` });
  };
  try {
    for await (const { event, data, lastEventId } of api.events(pathname + search, { text: true, onState })) {
      tell({ event, id: lastEventId, data });
    }
    tell({ closed: 'the stream is over' });
  } catch (error) {
    tell({ closed: String(error) });
  }
}
