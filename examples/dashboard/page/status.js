// The state of the connection at the top of the page, and its figures at the foot.
import { integer } from './format.js';

const PHASES = { connecting: 'Connecting', 'catching-up': 'Catching up', live: 'Live', reconnecting: 'Reconnecting', closed: 'Disconnected' };
const LINGER = 8000;

const $ = id => document.getElementById(id);
let phase, fade;

export function show(state) {
  facts(state);
  if (state.phase === phase) return;
  phase = state.phase;
  document.body.dataset.state = $('status').dataset.state = phase;
  $('phase').textContent = PHASES[phase];
  $('detail').textContent = state.detail;
  clearTimeout(fade);
  if (phase === 'live') fade = setTimeout(() => { $('detail').textContent = ''; }, LINGER);
}

function facts(state) {
  const rows = [
    ['Topics', state.topics],
    ['Events', state.events],
    ['Reconnects', Math.max(0, state.connections - 1)],
    ['Resumed events', state.caughtUp],
  ].filter(([, value]) => value > 0);
  $('facts').replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement('div');
    row.append(Object.assign(document.createElement('dt'), { textContent: name }), Object.assign(document.createElement('dd'), { textContent: integer(value) }));
    return row;
  }));
}
