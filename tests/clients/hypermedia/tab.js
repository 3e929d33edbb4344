// A tab that reads reports what it shows. A tab that writes does what a person would.
const items = document.getElementById('todos');
const role = location.hash.slice(1);
const shown = () => [...items.children].map(item =>
  `[${item.querySelector('input').checked ? 'x' : ' '}] ${item.textContent.replace('Delete', '').trim()}`).join(' ') || 'nothing';

const steps = [
  () => {
    document.querySelector('form input').value = '<b>tea</b>';
    document.querySelector('form').requestSubmit();
  },
  () => items.querySelector('input').click(),
  () => items.querySelector('button').click(),
];

// The first step runs while the list is empty. The others run when the page's own change has arrived.
const writes = () => role === 'writes' && steps.shift()?.();
document.body.addEventListener('htmx:sseOpen', writes, { once: true });
document.body.addEventListener('htmx:load', () => items.children.length && writes());
new MutationObserver(() => {
  if (role === 'reads') fetch('/tab/report', { method: 'POST', body: `reads ${shown()}` });
}).observe(items, { childList: true });
