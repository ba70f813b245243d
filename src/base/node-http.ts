/**
 * Node's `http`. An `import` of it reads all of its names, one of which loads the client behind `fetch`: 3 MB and 80 ms of CPU in
 * each process (Node 24).
 */
export const http = process.getBuiltinModule('node:http');
