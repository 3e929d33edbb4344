export function tell(seen) {
  console.log(JSON.stringify(seen));
}

export function fail(error) {
  tell({ event: 'error', data: `${error.constructor.name}: ${error.message}` });
}

// Stays, so that no connection is closed by the end of this process.
export function over() {
  tell({ closed: 'over' });
  setInterval(() => {}, 60_000);
}
