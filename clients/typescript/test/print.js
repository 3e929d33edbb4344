import { follow } from './follow.js';

follow(process.argv[2], seen => console.log(JSON.stringify(seen)));
