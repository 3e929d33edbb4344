// Numbers and times for people.
const whole = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const seconds = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hourCycle: 'h23' });

export const integer = number => whole.format(number);
export const time = at => clock.format(at);
export const exact = at => seconds.format(at);

// Three digits at most.
export const short = number => whole.format(number < 10 ? Math.round(number * 10) / 10 : Math.round(number));
