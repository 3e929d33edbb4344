export function tell(seen) {
  console.log(JSON.stringify(seen));
}

export function fail(error) {
  tell({ event: 'error', data: `${error.constructor.name}: ${error.message}` });
}

// Keeps the process alive, since its end would close the connection.
export function over() {
  tell({ closed: 'over' });
  setInterval(() => {}, 60_000);
}
