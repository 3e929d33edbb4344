// npm `ws`: a WebSocket that gets echoes and closes first, and one that waits for the server to close it.
import WebSocket from 'ws';
import { tell } from './tell.mjs';

function open() {
  const socket = new WebSocket(process.argv[2]);
  socket.on('message', (data, isBinary) => tell({ event: isBinary ? 'binary' : 'text', data: isBinary ? `${data.length}` : `${data}` }));
  socket.on('close', (code, reason) => tell({ event: 'close', data: `${code} ${reason}` }));
  socket.on('error', error => tell({ error: error.message }));
  return socket;
}

const echoed = open();
echoed.on('open', () => {
  echoed.send('hello');
  echoed.send(Buffer.alloc(5_000_000, 'x'));
  // A message in several frames.
  echoed.send('good ', { fin: false });
  echoed.send('bye');
});
echoed.on('message', data => {
  if (`${data}` === 'good bye') echoed.close(4000, 'done');
});
echoed.on('close', () => {
  const left = open();
  left.on('open', () => left.send('still here'));
  left.on('close', () => tell({ closed: 'by the server' }));
});
