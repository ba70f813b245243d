import { createRoot } from 'react-dom/client';
import { AppModel } from './model/app-model.ts';
import { startPreferences } from './model/preferences.ts';
import { App } from './ui/app.tsx';
import { ErrorBoundary } from './ui/error-boundary.tsx';

startPreferences();
createRoot(document.querySelector('#root')!).render(
  <ErrorBoundary>
    <App model={new AppModel()} />
  </ErrorBoundary>,
);
