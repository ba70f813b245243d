import { keepsPromises } from './random-run.ts';

/*
 * G1–G8, G10: every promise is kept under whatever faults the seed brings.
 */

keepsPromises('two nodes and Redis', '--minutes', '0.35', '--messages', '2100');
keepsPromises('embedded', '--minutes', '0.3', '--messages', '1950', '--embedded');
