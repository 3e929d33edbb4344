// @ts-check
// Numbers and times for people.
const whole = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const seconds = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hourCycle: 'h23' });

export const integer = (/** @type {number} */ number) => whole.format(number);
export const time = (/** @type {number} */ at) => clock.format(at);
export const exact = (/** @type {number} */ at) => seconds.format(at);

// Three digits at most.
export const short = (/** @type {number} */ number) => whole.format(number < 10 ? Math.round(number * 10) / 10 : Math.round(number));
