// @ts-check
// Connects the parts of the page with the stream. Each part shows one topic.
import { connect } from './connection.js';
import * as chat from './chat.js';
import * as jobs from './jobs.js';
import * as metrics from './metrics.js';
import * as notifications from './notifications.js';
import * as status from './status.js';

connect({ metrics, jobs, chat, notifications }, state => {
  status.show(state);
  if (state.phase === 'live') chat.resend();
  else metrics.markOld();
});
