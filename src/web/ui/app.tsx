import type { AppModel } from '../model/app-model.ts';
import { ChatScreen } from './chat-screen.tsx';
import { useListenable } from './hooks.ts';
import { WelcomeScreen } from './welcome-screen.tsx';

export function App({ model }: { readonly model: AppModel }) {
  const view = useListenable(model.view);
  if (view.name === 'welcome') return <WelcomeScreen model={model} notice={view.notice} />;
  const { store } = view;
  return <ChatScreen key={store.state.value.me} model={model} store={store} />;
}
