import { createRoot } from 'react-dom/client';
import { AppModel } from './model/app-model.ts';
import { startPreferences } from './model/preferences.ts';
import { App } from './ui/app.tsx';

startPreferences();
createRoot(document.querySelector('#root')!).render(<App model={new AppModel()} />);
