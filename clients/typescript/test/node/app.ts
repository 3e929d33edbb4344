// `tsc` checks this file with the published types, and without those of the DOM.
import { createClient, type ClientOptions } from '../../dist/index.js';
import { eventStore } from '../../dist/store.js';

const options: ClientOptions = { baseUrl: 'http://x', headers: async () => ({ authorization: 'Bearer x' }), credentials: 'include', fetch };
const api = createClient(options);

export const count = eventStore(link => api.events('/news', link), (sum: number) => sum + 1, 0);

// @ts-expect-error: no headers
createClient({ headers: () => 5 });
// @ts-expect-error: no such mode
createClient({ credentials: 'some' });
