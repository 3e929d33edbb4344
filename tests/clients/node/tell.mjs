// The names of all events here, because an EventSource needs a listener for each name.
export const NAMES = [
  'message', 'news', 'snapshot', 'count',
  'helios:ready', 'helios:reset', 'helios:end', 'helios:overloaded', 'helios:reconnect',
];

export function tell(seen) {
  console.log(JSON.stringify(seen));
}
