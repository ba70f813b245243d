import { SINGLE_FORMS } from '../support/redis-topologies.ts';
import { redisBusSuites } from './redis-bus-suite.ts';

redisBusSuites(SINGLE_FORMS);
