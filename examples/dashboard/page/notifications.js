// Notifications, the newest first. One that comes while somebody looks lights up.
import { time } from './format.js';
import { follow, say, template } from './list.js';

const $ = id => document.getElementById(id);
const SHOWN = 30;
const make = template('notice');
let notices = new Map(), unseen = 0;

export function put(notice, live) {
  const isNew = !notices.has(notice.id);
  notices.set(notice.id, notice);
  if (isNew && document.hidden) unseen++;
  show();
  if (isNew && live) $('notices').firstElementChild.classList.add('fresh');
}

export function all(list) {
  notices = new Map(list.map(notice => [notice.id, notice]));
  show();
}

function show() {
  const list = [...notices.values()].sort((a, b) => b.id - a.id);
  for (const notice of list.slice(SHOWN)) notices.delete(notice.id);
  follow($('notices'), list.slice(0, SHOWN), make, (element, notice) => {
    element.dataset.kind = notice.kind;
    say(element.querySelector('p'), notice.text);
    say(element.querySelector('time'), time(notice.at));
  });
  document.title = `${unseen ? `(${unseen}) ` : ''}Helios · dashboard`;
}

document.addEventListener('visibilitychange', () => { unseen = document.hidden ? unseen : 0; show(); });
