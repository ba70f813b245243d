import { keepsPromises } from './random-run.ts';

/*
 * G1–G8, G10: the same promises where Redis is several servers, which fail, and fail over.
 */

for (const form of ['cluster', 'sentinel'])
  keepsPromises(`Redis as ${form}`, '--minutes', '0.4', '--messages', '2300', '--redis', form);
