// The names of all events here: an EventSource has no listener for whatever comes.
export const NAMES = [
  'message', 'news', 'snapshot', 'count',
  'helios:ready', 'helios:reset', 'helios:end', 'helios:overloaded', 'helios:reconnect',
];

export function tell(seen) {
  console.log(JSON.stringify(seen));
}
