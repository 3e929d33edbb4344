// npm `eventsource`: EventSource for Node.
import { EventSource } from 'eventsource';
import { NAMES, tell } from './tell.mjs';

const source = new EventSource(process.argv[2]);
for (const name of NAMES) {
  source.addEventListener(name, event => tell({ event: event.type, id: event.lastEventId, data: event.data }));
}
source.onerror = ({ message = 'the stream is over' }) => {
  tell(source.readyState === EventSource.CLOSED ? { closed: message } : { error: message });
};
