// The one EventSource of the page.
//
// An event of a topic is one item, new or changed. It is put in the place of what was there under its key, so none is ever
// shown twice. A new page is sent the newest items; of jobs, which are a state, all of them, as `jobs:all`.

// Why the server has sent everything anew.
const REASONS = { epoch: 'reloaded, the server was restarted', expired: 'reloaded, away for too long' };

export function connect(url, topics, tell) {
  const state = { phase: 'connecting', detail: '', events: 0, connections: 0, caughtUp: 0, lastId: '', topics: Object.keys(topics) };
  let source, again, missed = 0, isNew = false, resumed = false, reason = '', excuse = '';

  const change = news => tell(Object.assign(state, news));

  function open() {
    source?.close();
    change({ phase: 'connecting', detail: '' });
    source = new EventSource(state.lastId ? `${url}?lastEventId=${encodeURIComponent(state.lastId)}` : url);
    source.onopen = opened;
    source.onerror = lost;
    for (const [topic, part] of Object.entries(topics)) {
      on(topic, item => { state.events++; missed++; part.put(item, state.lastId); });
      if (part.all) on(`${topic}:all`, items => { state.events++; part.all(items); });
    }
    on('helios:ready', ready => {
      resumed = ready.resumed;
      if (reason || isNew) upToDate();
      isNew = !state.lastId; // What it shows comes first, then the position.
    });
    on('helios:reset', reset => {
      reason = reset.reason;
      for (const topic of reset.topics) topics[topic]?.clear?.(); // The newest items follow.
    });
    on('helios:reconnect', () => { excuse = 'the server is restarting'; });
    on('helios:overloaded', full => { excuse = `the server is full, again in ${Math.ceil(full.retry / 1000)} s`; });
    on('caught-up', () => { if (!reason) upToDate(); });
  }

  function on(name, act) {
    source.addEventListener(name, event => {
      state.lastId = event.lastEventId || state.lastId;
      act(JSON.parse(event.data || 'null'));
      if (state.phase === 'live') change({});
    });
  }

  function opened() {
    [missed, isNew, resumed, reason, excuse] = [0, false, false, '', ''];
    change({ phase: 'catching-up', detail: '', connections: state.connections + 1 });
  }

  function upToDate() {
    state.caughtUp += resumed ? missed : 0;
    change({ phase: 'live', detail: REASONS[reason] ?? (resumed ? `resumed, ${missed} missed ${missed === 1 ? 'event' : 'events'}` : '') });
    reason = '';
  }

  function lost() {
    if (source.readyState !== EventSource.CLOSED) return change({ phase: 'reconnecting', detail: excuse });
    // The browser has given up, after the error page of a proxy for one. This page has not.
    change({ phase: 'closed', detail: 'trying again' });
    clearTimeout(again);
    again = setTimeout(open, 3000);
  }

  addEventListener('pagehide', () => source.close());
  addEventListener('pageshow', event => { if (event.persisted) open(); });
  open();
}
